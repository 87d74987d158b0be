"""Limits of the page's server: what a peer may send, ask for, hold open or leave unread.

Modules read them as `limits.NAME` when they need them, so that each limit stands here and nowhere else.
"""

from __future__ import annotations

# Connections.
MIN_CONNECTION_COUNT = 64
"""Connections that may be open however few files the process may open."""
SPARE_CONNECTION_COUNT = 100
"""Connections that may be open beside one for each viewer allowed."""
MAX_STRANGER_COUNT = 32
"""Connections of one address that have shown no token; a browser opens six."""
LISTEN_BACKLOG_COUNT = 128
ACCEPTED_AT_ONCE_COUNT = 4
"""Connections that are accepted before what others have sent is read: many times less than the share of an address, so
that whoever shows something at once is never taken for one of those who do not."""
SEND_BUFFER_BYTES = 256 * 1024
"""What the system holds for a slow peer."""
UNACKNOWLEDGED_TIMEOUT_MS = 15_000
"""How long a peer may be gone without saying so."""
TLS_HANDSHAKE_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 2.0
"""How long a peer has to take leave."""
STALL_TIMEOUT_S = 10.0
"""How long a peer may leave what it asked for unread."""
SHUTDOWN_STEP_S = 0.6
"""How long connections have to end by themselves at the end of the server, and again once they are ended."""
GRACEFUL_SHUTDOWN_S = 1

# Requests.
REQUEST_TIMEOUT_S = 5.0
"""How long a request may take to arrive."""
MAX_HEADER_BYTES = 16 * 1024
MAX_TARGET_BYTES = 8 * 1024
"""Longest path and query together."""

# WebSockets.
MAX_MESSAGE_BYTES = 64 * 1024
"""Longest message from a page."""
MAX_RECEIVED_BYTES_PER_S = 128 * 1024
MAX_RECEIVED_BURST_BYTES = 512 * 1024
PING_INTERVAL_S = 5.0
PONG_TIMEOUT_S = 10.0

# What a page has yet to be sent of the cameras' own pictures.
MAX_QUEUE_WAIT_S = 2.0
"""How long a message may wait for a slow page."""
MAX_QUEUE_BYTES = 24_000_000
MAX_KEPT_BYTES = 8_000_000
"""Longest run of messages since a keyframe that is kept for pages that join, for each camera."""
MAX_STAMP_COUNT = 900
"""Pictures of a camera whose stamps are remembered."""
MAX_AWAITED_COUNT = 300
"""Pictures of a camera whose detections are awaited."""
MAX_HOLD_S = 0.5
"""How long pages hold a picture for its boxes."""

# Login.
WRONG_TOKEN_DELAY_S = 1.0
"""How long a wrong token is answered later."""
MAX_WRONG_TOKEN_COUNT = 10
"""Wrong tokens from one address within the window that are judged at once; more of them one by one, at this pace."""
WRONG_TOKEN_WINDOW_S = 60.0
MAX_WRONG_TOKEN_ADDRESS_COUNT = 4096
"""Addresses that are remembered for wrong tokens."""
MAX_FORM_BYTES = 4096
FORM_TIMEOUT_S = 5.0
SESSION_S = 30 * 24 * 3600
"""How long a cookie is good."""
MAX_LOGGED_OUT_COUNT = 4096
"""Sessions that are remembered as logged out; only those who have the token can make one."""
LOGIN_CODE_MINUTES = 10
"""How long a login code is good."""

# Pictures of cameras that are decoded only while they have viewers, or whose model is not ready yet.
MAX_FIRST_PICTURE_WAIT_S = 4.0
"""How long a snapshot, and the first picture of a stream, may be waited for."""

# Clips.
MAX_CLIP_SIDE_S = 60.0
"""Longest time before, and after, the moment of a clip."""
MAX_CLIP_COUNT = 8
"""Clips that are made or sent at once."""
MAX_CLIP_MEMORY_BYTES = 128_000_000
"""What all of them may hold together."""
CLIP_DOWNLOAD_TIMEOUT_S = 300.0

# HLS.
MAX_PLAYLIST_WAIT_S = 10.0
"""How long a playlist may be waited for while a stream begins."""
MIN_PART_WAIT_S = 3.0
"""How long a part that is still to come may be waited for, or as many times the longest segment if that is more."""
PART_WAIT_SEGMENT_COUNT = 3.0
MAX_SEGMENTS_AHEAD_COUNT = 2
"""How many segments ahead of the newest a player may ask for."""
