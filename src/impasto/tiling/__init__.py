"""Pictures of any size in bounded memory: tile by tile, and the same picture as in one piece.

Statistics are gathered over tiles of the full resolution first; then every tile is painted with
those of the whole picture and a halo as wide as the network sees.
"""
