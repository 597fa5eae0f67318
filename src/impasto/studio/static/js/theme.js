// Runs before anything is drawn, so that a chosen theme never flashes in the other one.
try {
  const theme = JSON.parse(localStorage.getItem("impasto.theme"));
  if (theme) document.documentElement.dataset.theme = theme;
} catch {
  // no storage: the system's theme it is
}
