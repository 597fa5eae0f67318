"""The table of jobs: DBOS workflows in SQLite or PostgreSQL, written by DBOS, read in one query."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from impasto.errors import BadInput

APPLICATION = "impasto"
VERSION = "1"
WORKFLOW = "paint"
QUEUE = "paint"
POLLING = 0.2
"""Seconds between two looks into the queue."""

WAITING = "ENQUEUED"
RUNNING = "PENDING"
CANCELLED = "CANCELLED"
UNFINISHED = (WAITING, RUNNING)

Condition = Callable[[Any, Any], sa.ColumnElement[bool]]
"""Of the table's columns, and of the present in ms by the database's clock."""


@dataclass(frozen=True)
class Row:
    """One job as it is in the table."""

    id: str
    status: str
    owner: str
    executor: str | None
    priority: int
    attributes: Mapping[str, Any]
    """Its order, and all that changes."""
    idle: float
    """Seconds since it was touched, by the database's clock."""

    @property
    def turn(self) -> tuple[int, float]:
        """Who is next among those that wait."""
        return self.priority, self.attributes["created"]


class Crowd(NamedTuple):
    """How many jobs wait."""

    all: int
    own: int


def connect(url: str) -> sa.Engine:
    """An engine for that database; an SQLite file is made where there is none.

    url: ``sqlite:///path`` or ``postgresql://user@host/name``

    Raises BadInput.
    """
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError as error:
        raise BadInput(f"{url!r} is no database: write postgresql://USER@HOST/NAME.") from error
    if parsed.get_backend_name() == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
        return sa.create_engine(parsed, pool_size=8, max_overflow=8, pool_pre_ping=True)
    if parsed.get_backend_name() != "sqlite" or parsed.database in {None, "", ":memory:"}:
        raise BadInput("A studio's database is sqlite:///FILE or postgresql://USER@HOST/NAME.")
    engine = sa.create_engine(parsed, pool_size=8, max_overflow=8)
    sa.event.listen(engine, "connect", _durable)
    return engine


def _durable(connection: Any, record: object) -> None:
    """Readers do not wait for the writer, and what is written survives a power cut."""
    connection.isolation_level = "IMMEDIATE"
    for pragma in ("busy_timeout=30000", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


class Database:
    """The table of jobs; thread-safe."""

    def __init__(self, url: str) -> None:
        """Connect, and make or migrate the tables.

        Raises BadInput for a database that does not answer.
        """
        from dbos import DBOS, DBOSClient, DBOSPortableJSONSerializer

        _quiet()
        self.url = url
        self.engine = connect(url)
        self._sqlite = self.engine.dialect.name == "sqlite"
        self._jobs = _table(None if self._sqlite else "dbos")
        try:
            if self._sqlite:
                self.check()  # our way to open it comes first, and stays with the file
            DBOS.migrate(url)
        except sa.exc.SQLAlchemyError as error:
            reason = str(error).splitlines()[0]
            raise BadInput(f"The database does not answer: {reason}") from error
        self.client = DBOSClient(
            system_database_engine=self.engine,
            serializer=DBOSPortableJSONSerializer(),
            application_name=APPLICATION,
            retry_connection_errors=False,
        )
        self.client.register_queue(QUEUE, worker_concurrency=1, polling_interval_sec=POLLING)

    def close(self) -> None:
        """Give the connections back."""
        self.client.destroy()
        self.engine.dispose()

    def check(self) -> None:
        """Raise sqlalchemy's error where the database does not answer."""
        with self.engine.connect() as connection:
            connection.execute(sa.text("SELECT 1"))

    def rows(self, where: Condition) -> list[Row]:
        """The jobs for which a condition holds."""
        column, now = self._jobs.c, self._now()
        idle = ((now - column.updated_at) / 1000.0).label("idle")
        query = sa.select(self._jobs, idle).where(column.name == WORKFLOW, where(column, now))
        with self.engine.connect() as connection:
            found = connection.execute(query).mappings().all()
        return [
            Row(
                id=row["workflow_uuid"],
                status=row["status"],
                owner=row["authenticated_user"] or "",
                executor=row["executor_id"],
                priority=row["priority"],
                attributes=row["attributes"] or {},
                idle=float(row["idle"]),
            )
            for row in found
        ]

    def row(self, id: str) -> Row | None:
        """One job, or None."""
        found = self.rows(lambda column, now: column.workflow_uuid == id)
        return found[0] if found else None

    def crowd(self, owner: str = "") -> Crowd:
        """Who waits, counted by the index of those in the queue."""
        column = self._jobs.c
        own = sa.func.count().filter(column.authenticated_user == owner)
        query = sa.select(sa.func.count(), own).where(*self._queued())
        with self.engine.connect() as connection:
            all, mine = connection.execute(query).one()
        return Crowd(int(all), int(mine))

    def queued_seconds(self, usual: float) -> float:
        """What all that wait will take; of which nothing is known, as long as is usual."""
        estimate = self._jobs.c.attributes["order"]["estimate"].as_float()
        total = sa.func.sum(sa.func.coalesce(estimate, usual))
        with self.engine.connect() as connection:
            found = connection.execute(sa.select(total).where(*self._queued())).scalar()
        return float(found or 0.0)

    def queue(self) -> list[str]:
        """Ids of all jobs that wait, next one first."""
        column = self._jobs.c
        order = (column.priority, column.attributes["created"].as_float())
        query = sa.select(column.workflow_uuid).where(*self._queued()).order_by(*order)
        with self.engine.connect() as connection:
            return [*connection.execute(query).scalars()]

    def _queued(self) -> list[sa.ColumnExpressionArgument[bool]]:
        """That a job waits; and once more in the words of DBOS's index, which is used for them."""
        column = self._jobs.c
        index = sa.text(f"status IN ('{WAITING}', '{RUNNING}')")
        return [column.queue_name == QUEUE, column.status == WAITING, index]

    def _now(self) -> sa.ColumnElement[Any]:
        """Milliseconds since 1970 by the database's clock."""
        if self._sqlite:
            return sa.cast(sa.func.strftime("%s", "now"), sa.BigInteger) * 1000
        return sa.cast(sa.func.extract("epoch", sa.func.clock_timestamp()) * 1000, sa.BigInteger)

    def enqueue(self, id: str, owner: str, attributes: Mapping[str, Any], priority: int) -> None:
        """Put a job in the queue; nothing happens where there is one of that id."""
        options: Any = {
            "workflow_name": WORKFLOW,
            "queue_name": QUEUE,
            "workflow_id": id,
            "app_version": VERSION,
            "authenticated_user": owner,
            "priority": priority,
            "attributes": dict(attributes),
        }
        self.client.enqueue(options, attributes["order"])

    def requeue(self, executor: str | None = None, idle: float = 0.0) -> int:
        """Put jobs back in the queue that somebody began and does not work on.  ->  how many

        executor: whose jobs, None for everybody's; idle: seconds for which they were not touched

        One statement: who has come back to life meanwhile, or taken it, keeps it.
        """
        column = self._jobs.c
        over = [column.name == WORKFLOW, column.status == RUNNING]
        over += [column.executor_id == executor] if executor else []
        over += [column.updated_at <= self._now() - round(idle * 1000)] if idle else []
        again = {
            "status": WAITING,
            "queue_name": QUEUE,
            "owner_xid": None,
            "started_at_epoch_ms": None,
            "updated_at": self._now(),
        }
        with self.engine.begin() as connection:
            return connection.execute(sa.update(self._jobs).where(*over).values(again)).rowcount

    def update(self, id: str, **attributes: object) -> None:
        """Change some attributes of a job; without any it is only touched."""
        self.client.update_workflow_attributes(id, attributes, merge=True)


def _quiet() -> None:
    """DBOS tells of trouble only; that a job was cancelled or deleted meanwhile is none."""
    logger = logging.getLogger("dbos")
    logger.setLevel(logging.WARNING)
    if _is_trouble not in logger.filters:
        logger.addFilter(_is_trouble)


def _is_trouble(record: logging.LogRecord) -> bool:
    from dbos._error import DBOSAwaitedWorkflowCancelledError, DBOSNonExistentWorkflowError

    error = record.exc_info[1] if record.exc_info else None
    gone = isinstance(error, DBOSAwaitedWorkflowCancelledError | DBOSNonExistentWorkflowError)
    return not gone and "outcome was not recorded" not in record.getMessage()


def _table(schema: str | None) -> sa.TableClause:
    """DBOS's table, as far as we read it."""
    return sa.table(
        "workflow_status",
        sa.column("workflow_uuid", sa.Text),
        sa.column("status", sa.Text),
        sa.column("name", sa.Text),
        sa.column("authenticated_user", sa.Text),
        sa.column("executor_id", sa.Text),
        sa.column("queue_name", sa.Text),
        sa.column("owner_xid", sa.Text),
        sa.column("started_at_epoch_ms", sa.BigInteger),
        sa.column("priority", sa.Integer),
        sa.column("updated_at", sa.BigInteger),
        sa.column("attributes", sa.JSON().with_variant(JSONB(), "postgresql")),
        schema=schema,
    )
