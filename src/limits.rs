//! Every bound of ringgate: its name, its unit and the reason for its size. What a configuration may change has `_DEFAULT`
//! in its name. Relations between them are asserted at compile time, at the end.

mod access;
mod files;
mod handshake;
pub use access::*;
pub use files::*;
pub use handshake::*;

// ---- One request or response head -------------------------------------------------------------------------------------

/// Bytes of a request or response head, start line and empty line included; more is 431 (or 502 from a backend).
/// nginx allows 4 x 8 KiB, but no real browser comes near that; 16 KiB holds the largest cookie jars in the wild.
pub const HEAD_MAX: usize = 16 * 1024;
/// Bytes of the request target; more is 414. nginx: one line must fit one 8 KiB buffer.
pub const TARGET_MAX: usize = 8 * 1024;
/// Fields in a head or a trailer section; more is 431. Apache: 100.
pub const FIELDS_MAX: usize = 100;
/// Bytes by which our own fields may lengthen a rewritten head (forwarded fields, Host, Connection).
pub const HEAD_GROWTH_MAX: usize = 2 * 1024;
/// Bytes of a trailer section; more is a bad chunk.
pub const TRAILERS_MAX: usize = 4 * 1024;
/// Bytes of one chunk-size line with its extensions, CRLF included; more is a bad chunk. RFC 9112 7.1.1 asks for a bound.
pub const CHUNK_LINE_MAX: usize = 256;
/// Bytes of chunk framing (sizes, extensions, CRLFs) allowed in one message beyond `CHUNK_OVERHEAD_FACTOR` per data byte.
/// Stops endless tiny chunks with long extensions (CVE-2023-39326) without hurting an honest streamer.
pub const CHUNK_OVERHEAD_ALLOWANCE: u64 = 16 * 1024;
/// Framing bytes allowed per data byte: one-byte chunks cost 5 ("1\r\n" and "\r\n").
pub const CHUNK_OVERHEAD_FACTOR: u64 = 16;
/// Bytes of a request target that a page of ours repeats as a link; each may become six in HTML.
pub const PAGE_URI_MAX: usize = 1024;

/// Looks for a location because rules changed a request's URI (nginx: 10).
pub const URI_CHANGES_MAX: u8 = 10;

/// Maps whose values are looked up by the values of other maps, one within another.
pub const MAPS_DEPTH_MAX: usize = 8;

/// Steps of backtracking of one match of a regular expression: some milliseconds at most.
pub const REGEX_STEPS_MAX: usize = 100_000;

/// Bytes of a request's body that are kept in memory where it is read before a server is asked (nginx: 8k or 16k).
pub const CLIENT_BODY_BUFFER_SIZE_DEFAULT: u64 = 16 * 1024;
/// The least and the most of them for one connection, whatever is configured; the rest lies in a temporary file.
pub const CLIENT_BODY_BUFFER_SIZES: [usize; 2] = [1024, 16 * 1024 * 1024];
/// Empty lines tolerated before a request line (RFC 9112 2.2 asks for at least one).
pub const EMPTY_LINES_MAX: usize = 4;
/// Bytes of a host name in Host or the target (RFC 1035: 253, and a port).
pub const HOST_MAX: usize = 261;
/// Options in the Connection fields of one head; more is a bad field. Each is compared with each field's name, and no
/// honest peer names more than a handful.
pub const CONNECTION_OPTIONS_MAX: usize = 32;

// ---- Buffers -----------------------------------------------------------------------------------------------------------

/// Bytes in front of body data in a buffer for a chunk-size line: 8 hex digits (4 GiB) and CRLF, rounded up.
pub const CHUNK_HEADROOM: usize = 16;
/// Bytes behind body data for CRLF and the last chunk "0\r\n\r\n".
pub const CHUNK_TAILROOM: usize = 8;
/// Bytes of a small buffer: one head, rewritten.
pub const BUFFER_SMALL: usize = HEAD_MAX + HEAD_GROWTH_MAX;
/// Bytes of a large buffer: body data with room for chunk framing. Measured: copying through 64 KiB costs 0.25-0.28
/// CPU-seconds per GB, through 16 KiB 0.59.
pub const BUFFER_LARGE: usize = 64 * 1024;
/// Small buffers that one exchange may hold at a time: request in, response in, two on their way out on each side (one in
/// the kernel's hands, one being filled).
pub const EXCHANGE_BUFFERS: u32 = 6;
/// Small buffers of one worker: 4,096 exchanges that hold all theirs, 432 MiB at the very worst. They are allocated when first
/// used, and an exchange that waits for its backend holds one: 72 MiB.
pub const BUFFERS_SMALL_MAX: u32 = 4096 * EXCHANGE_BUFFERS;
/// Exchanges of one worker that one upstream may hold when there are others: a dead backend must not starve the rest.
pub const UPSTREAM_EXCHANGES_MAX: u32 = BUFFERS_SMALL_MAX / EXCHANGE_BUFFERS / 4 * 3;
/// Large buffers of one worker: 32 MiB. An exchange that gets none goes on with its small ones.
pub const BUFFERS_LARGE_MAX: u32 = 512;

/// Bodies that a worker compresses at a time; what comes beyond goes as it is. One takes some 0.3 MiB with gzip, 2 MiB with zstd and
/// 6 MiB with brotli (measured with 200 readers that do not read): half a gigabyte at the very worst.
pub const COMPRESSIONS_MAX: u32 = 64;
/// Level of brotli and zstd above which nothing is compressed on its way: a piece would keep a worker for tens of milliseconds. Higher ones
/// are for files that lie there compressed (`brotli_static`).
pub const COMPRESSION_LEVEL_MAX: u8 = 9;
/// Binary logarithm of the bytes that zstd and brotli look back: 512 KiB (nginx's `brotli_window`).
pub const COMPRESSION_WINDOW_LOG_MAX: u8 = 19;
/// See `COMPRESSION_WINDOW_LOG_MAX`: the least that all three can do. A body that is known to be short gets a window to its measure.
pub const COMPRESSION_WINDOW_LOG_MIN: u8 = 10;

/// Milliseconds from a connection's first byte until its TLS handshake has told the name, where TLS is passed on: nginx's
/// `preread_timeout`.
pub const PREREAD_TIMEOUT_DEFAULT: u64 = 30_000;
/// Milliseconds for a client's TLS handshake: nginx's `ssl_handshake_timeout`.
pub const SSL_HANDSHAKE_TIMEOUT_DEFAULT: u64 = 60_000;
/// Milliseconds for which a TLS session may be resumed: nginx's `ssl_session_timeout` is five minutes, which sends most visitors of
/// a site through a whole handshake again; OpenSSL's two hours are RFC 8446's order of magnitude for a ticket.
pub const SSL_SESSION_TIMEOUT_DEFAULT: u64 = 2 * 60 * 60 * 1000;

/// Bytes that each buffer has behind its usual ones for what TLS adds when they are encrypted: 29 for each of the five records of a
/// large one (RFC 5246 6.2.3.3: header 5, nonce 8, tag 16), and small messages that go before them (alerts, new keys).
pub const TLS_ROOM: usize = 512;
/// Bytes of TLS records that are received at a time, at least: the largest record fits. RFC 8446 5.2 allows 2^14 and 256 more, RFC 5246
/// 6.2.3 2^14 and 2,048; and the header.
pub const TLS_READ_MIN: usize = 16 * 1024 + 2048 + 5;
/// Bytes of received TLS records that are looked at together: a handshake message may have 64 KiB (rustls' bound), plus a record.
pub const TLS_SCRATCH: usize = 96 * 1024;
/// Records in a row that bring no data and do not end the handshake; more is an attack (empty records, key updates).
pub const TLS_BARREN_MAX: u32 = 64;
/// Seconds for which `hsts` may speak: ten years.
pub const HSTS_MAX: u64 = 10 * 365 * 86_400;

/// Bytes of idle buffers from which on they are given back: what is less may be wanted again in a moment.
pub const TRIM_WORTH: usize = 1024 * 1024;
/// Buffers given back in one step, one step per tick: some 5 MB. Half of it took the kernel a millisecond on a busy machine.
pub const TRIM_STEP: usize = 256;
/// Tasks fewer than at the peak from which on their memory is given back: some 1.4 MB.
pub const TASKS_WORTH: usize = 512;

/// Pipes beyond these that wait for readers who do not read: 28 MiB per worker.
pub const PIPES_ASIDE_MAX: u32 = 7 * PIPES_MAX;
/// Milliseconds without a byte after which such a pipe is set aside.
pub const PIPE_PATIENCE: u64 = 1_000;
/// Bytes of a pooled pipe. A pipe of the default 64 KiB has 16 slots, and a segment may use a whole one for 1448 bytes.
pub const PIPE_BYTES: usize = 256 * 1024;
/// Bytes below which a pipe that the kernel shrank is not worth its system calls: its body is copied instead.
pub const PIPE_BYTES_MIN: usize = 64 * 1024;
/// Pipes of one worker. 16 workers x 16 x 256 KiB are the 64 MiB that an unprivileged user may have (pipe-user-pages-soft).
pub const PIPES_MAX: u32 = 16;
/// Bytes certain to follow from which a body is spliced instead of copied. At 64 KiB both cost the same, from 256 KiB on splicing at
/// most 0.75 of copying; 128 KiB depends on the backend (perf/README.md). `splice_min` overrides.
pub const SPLICE_MIN_DEFAULT: u64 = 256 * 1024;
/// Bytes below which a splice of a passthrough stream was not worth its two calls; after a few such it copies again. HAProxy: 4096.
pub const SPLICE_WORTH: u64 = 4096;

// ---- Connections -------------------------------------------------------------------------------------------------------

/// Client connections of one worker; beyond them a new one is closed at once and counted. `worker_connections` overrides.
pub const WORKER_CONNECTIONS_DEFAULT: u32 = 65_536;
/// Connections handed to one worker that it has not taken yet; beyond them the worker that accepted one keeps it.
pub const HANDOVER_QUEUE_MAX: usize = 256;
/// Connections that a worker has more than the other before it hands a new one over: an even spread of few.
pub const HANDOVER_SLACK: u64 = 2;
/// Or this part (an eighth) of its own, whichever is more: the kernel's spread of 64 is uneven by about so much, and moving each of
/// many short connections would cost more than it mends.
pub const HANDOVER_SLACK_SHARE: u64 = 8;
/// Parked connections that are looked at for expiry in one turn of the loop.
pub const PARKED_PER_STEP: usize = 4096;
/// Of these, how many are closed in one turn: each costs three system calls, and thousands may be due at once.
pub const CLOSED_PER_STEP: usize = 128;
/// Idle connections to one server kept open by the whole process; each worker keeps its share. `keepalive` overrides.
pub const KEEPALIVE_DEFAULT: u32 = 512;
/// Entries of the accept queue (`listen(2)`); the kernel cuts it to net.core.somaxconn.
pub const BACKLOG: i32 = 4096;
/// Largest `worker_connections` and `keepalive`: a million sockets cost the kernel some 3.6 GB per worker.
pub const CONNECTIONS_MAX: u32 = 1 << 20;
/// Requests answered on one client connection before it is closed, so that connections spread anew. nginx: 1000.
pub const KEEPALIVE_REQUESTS_DEFAULT: u32 = 100_000;
/// Workers: ten bits of a waker.
pub const WORKERS_MAX: usize = 1024;
/// Servers in one upstream group: an entry of a round-robin cycle is a u16.
pub const SERVERS_MAX: usize = 4096;
/// Entries of a round-robin cycle (128 KiB). Reduced weights that sum up to more are scaled down to it, none below one.
pub const CYCLE_MAX: usize = 65_536;
/// Round-robin tickets that a busy worker draws at once: one shared write for this many requests.
pub const TICKETS_MAX: u64 = 64;
/// Picks within `TICKETS_EXPIRE` from which on a worker counts as busy: a person with a shell loop stays well below it.
pub const TICKETS_BUSY: usize = 8;
/// Tickets that one pick may pass over because their servers were tried already, before it looks through all servers.
pub const TICKETS_SKIPPED_MAX: usize = 64;
/// Slots of a Maglev table, primes: 128 KiB and 2 MB. Only two, since a table of another size moves all keys.
pub const MAGLEV_SIZES: [usize; 2] = [65_537, 1_000_003];
/// Slots per server of a Maglev table, at least: shares of equal servers are exact to one percent. 655 servers fit the smaller one.
pub const MAGLEV_SLOTS_MIN: usize = 100;
/// Slots that one lookup tries when servers may not be used, before it looks through all servers: with a tenth of them left,
/// one key in a million comes so far.
pub const MAGLEV_PROBES_MAX: usize = 128;
/// Random draws for one candidate when servers may not be used, before all of them are looked through.
pub const RANDOM_DRAWS_MAX: usize = 8;
/// Workers up to which `least_conn` reads the others' rows at every pick: one cache line for each and 32 servers, some 0.1 us each.
/// With more, once in a turn.
pub const LEAST_CONN_FRESH_MAX: u64 = 4;
/// Largest weight of a server (nginx has no bound; beyond this a cycle would grow absurd).
pub const WEIGHT_MAX: u32 = 1000;

/// Failures in a row that take a server out of use. nginx: 1, which a single broken connection reaches.
pub const MAX_FAILS_DEFAULT: u32 = 3;
/// Largest `max_fails`, `rise` and `fall`.
pub const FAILS_MAX: u32 = 1000;
/// Percent of a group's servers that failures may take out of use at a time. Rounded down, but never the last one.
pub const MAX_EJECTED_DEFAULT: u8 = 90;
/// Requests that a server must have had within its `fail_timeout` before its rate of failures says anything.
pub const FAIL_RATE_REQUESTS_MIN: u32 = 20;
/// Steps in which the weight of a server with `slow_start` grows to the whole.
pub const SLOW_START_STEPS: u32 = 10;
/// Percent of requests that may be tried again (Finagle's and linkerd's default).
pub const RETRY_BUDGET_DEFAULT: u8 = 20;
/// Retries of one worker that are allowed whatever the budget: a server that dies takes all that runs there with it.
pub const RETRY_BURST: u32 = 100;
/// Requests that wait for a server below its `max_conns`, in the whole process.
pub const QUEUE_DEFAULT: u32 = 1000;
/// Largest `queue`: each entry is a client's connection that waits.
pub const QUEUE_MAX: u32 = 1 << 20;
/// First answers of a server of which the fastest counts: they pay for connections and cold caches.
pub const LATENCY_WARM_UP: u32 = 8;
/// Times by which one slow answer raises a server's response time at most: a single hiccup is forgiven within seconds, and a
/// server that is really slow gets there with its next answers.
pub const LATENCY_RAISE_MAX: u32 = 2;
/// Addresses in X-Forwarded-For that are looked at, from the right; more proxies of one's own in a row nobody has.
pub const FORWARDED_HOPS_MAX: usize = 32;
/// Bytes of a sticky cookie's name and attributes: Set-Cookie must fit behind a full head.
pub const STICKY_COOKIE_MAX: usize = 1024;
/// Bytes of Strict-Transport-Security's value, which must fit behind a full head too.
pub const HSTS_BYTES_MAX: usize = 256;
/// Bytes of an ACME challenge's answer: a token and a thumbprint, some 90.
pub const ACME_ANSWER_MAX: u64 = 4096;
/// Bytes of an ACME token; they have 43.
pub const ACME_TOKEN_MAX: usize = 128;
/// ACME challenges of one worker that wait to be read; further ones are 503.
pub const ACME_QUEUE_MAX: usize = 64;
/// Passed checks in a row until a server counts as up. HAProxy: 2; nginx Plus: 1.
pub const CHECK_RISE_DEFAULT: u32 = 2;
/// Failed checks in a row until it counts as down. HAProxy: 3; nginx Plus: 1, which one slow answer reaches.
pub const CHECK_FALL_DEFAULT: u32 = 3;
/// Percent by which the interval of checks varies to both sides.
pub const CHECK_JITTER_DEFAULT: u8 = 10;
/// Largest such percentage.
pub const CHECK_JITTER_MAX: u8 = 50;
/// Bytes of the user that a check of a database names. PostgreSQL cuts longer names, MySQL allows 32 characters.
pub const CHECK_USER_MAX: usize = 32;
/// Bytes of a checked server's answer that are looked at.
pub const CHECK_ANSWER_MAX: usize = 64 * 1024;
/// Characters of a checked server's own words that are shown.
pub const CHECK_WORDS_MAX: usize = 120;
/// Active checks under way at a time; each has a descriptor.
pub const CHECKS_AT_ONCE: usize = 64;

// ---- Bodies ------------------------------------------------------------------------------------------------------------

/// Bytes of a request body (nginx's default for client_max_body_size is 1 MiB, the first thing every guide raises).
pub const CLIENT_MAX_BODY_SIZE_DEFAULT: u64 = 1024 * 1024 * 1024;
/// Largest size that a configuration may name; file offsets are signed 64-bit numbers.
pub const SIZE_MAX: u64 = i64::MAX as u64;
/// Bytes moved for one task in one turn of the loop before others get their turn.
pub const TURN_BUDGET: usize = 256 * 1024;
/// Interim answers (1xx) of one backend to one request; more is a bad answer, or they could go on for ever.
pub const INTERIM_MAX: u32 = 64;
/// Bytes read and thrown away after a final answer, so that it is not destroyed by a reset (nginx lingering_close).
pub const LINGER_BYTES_MAX: u64 = 4 * 1024 * 1024;

// ---- TLS ---------------------------------------------------------------------------------------------------------------

/// Bytes of a file with certificates, a key or revocations. All of Mozilla's authorities together are 220 KiB; revocation lists grow
/// to some megabytes.
pub const PEM_FILE_MAX: u64 = 32 * 1024 * 1024;
/// Tickets that a client gets after a TLS 1.3 handshake. Each serves once, and browsers open several connections at a time; OpenSSL
/// sends as many.
pub const TLS13_TICKETS: usize = 2;
/// Bytes of a session that become a ticket; a ClientHello with it stays far below `CLIENT_HELLO_MAX`.
pub const TICKET_MAX: usize = 8 * 1024;
/// Seconds after which rustls has forgotten the key of a ticket, whatever is configured.
pub const TICKET_KEYS_LIFETIME: u64 = 43_200;
/// Seconds for which a ticket may count at most (RFC 8446 4.6.1: seven days).
pub const TICKET_LIFETIME_MAX: u64 = 604_800;
/// Sessions with backends that are remembered, by the name of the server.
pub const BACKEND_SESSIONS_MAX: usize = 256;
/// Days before its end from which a certificate is said to expire soon, and those from which it is urgent. certbot renews thirty days
/// before, so that something has failed for two weeks by then.
pub const EXPIRY_WARNING_DAYS: i64 = 14;
/// See `EXPIRY_WARNING_DAYS`.
pub const EXPIRY_URGENT_DAYS: i64 = 3;
/// Milliseconds between two looks at the files of certificates: renewed ones are to be seen within seconds.
pub const CERTIFICATES_INTERVAL: u64 = 1_000;
/// Milliseconds for which a pair that does not match may be one that is being written.
pub const CERTIFICATES_HALF_WRITTEN: u64 = 5_000;
/// Milliseconds until a pair that cannot be used is looked into again though its files are the same: time alone may make it good.
pub const CERTIFICATES_RETRY: u64 = 60_000;
/// Seconds after its last change from which a file's times tell of the next one: file systems count in ticks, some in seconds.
pub const STAMP_SETTLED: i64 = 3;
/// Seconds after which it is said once more that a certificate expires.
pub const EXPIRY_REMINDER: i64 = 86_400;

// ---- Time, in milliseconds ---------------------------------------------------------------------------------------------

/// From the first byte of a request to the end of its head. nginx: 60 s.
pub const CLIENT_HEADER_TIMEOUT_DEFAULT: u64 = 30_000;
/// The same when buffers run out: whoever dribbles a head goes first.
pub const CLIENT_HEADER_TIMEOUT_PRESSED: u64 = 3_000;
/// Between two reads of a request body. nginx: 60 s.
pub const CLIENT_BODY_TIMEOUT_DEFAULT: u64 = 60_000;
/// A client takes no byte of what is sent to it. nginx: 60 s between two writes.
pub const SEND_TIMEOUT_DEFAULT: u64 = 60_000;
/// An idle client connection. nginx: 75 s.
pub const KEEPALIVE_TIMEOUT_DEFAULT: u64 = 75_000;
/// Idleness after which a client connection is parked: its task goes, and bytes begin a new one. A busy connection never gets there.
pub const PARK_AFTER: u64 = 1_000;
/// Connecting to a server. nginx: 60 s, which no visitor waits for.
pub const PROXY_CONNECT_TIMEOUT_DEFAULT: u64 = 5_000;
/// From the request's end to the first byte of the response, and between two reads of it. nginx: 60 s.
pub const PROXY_READ_TIMEOUT_DEFAULT: u64 = 60_000;
/// A server takes no byte of what is sent to it. nginx: 60 s between two writes.
pub const PROXY_SEND_TIMEOUT_DEFAULT: u64 = 60_000;
/// An idle pooled connection: below the usual 60 s of servers, so that we close first.
pub const PROXY_KEEPALIVE_TIMEOUT_DEFAULT: u64 = 55_000;
/// Within which failures count, and for which a server is out of use the first time. nginx: 10 s.
pub const FAIL_TIMEOUT_DEFAULT: u64 = 10_000;
/// Out of use at most: each time in a row it is twice as long as before.
pub const EJECTION_MAX: u64 = 300_000;
/// Time constant of a server's response time: how fast quick answers, or silence, make a slow one forgotten (Finagle's).
pub const LATENCY_TIME: u64 = 10_000;
/// Log lines of one reason that a worker writes in a second: a dead group under load fails tens of thousands of requests.
pub const LOG_LINES_PER_SECOND: u64 = 20;
/// A request waits for a server below its `max_conns`.
pub const QUEUE_TIMEOUT_DEFAULT: u64 = 10_000;
/// From one active check of a server to the next. nginx Plus: 5 s.
pub const CHECK_INTERVAL_DEFAULT: u64 = 5_000;
/// The least time from one active check of a server to the next: what is closer together is load, and tells no more.
pub const CHECK_INTERVAL_MIN: u64 = 100;
/// One active check.
pub const CHECK_TIMEOUT_DEFAULT: u64 = 3_000;
/// After its verdict, a check waits so long for the server to close: it is then closed as the protocol has it, not reset.
pub const CHECK_FAREWELL_MAX: u64 = 500;
/// A check that has not ended so long after its timeout is dropped.
pub const CHECK_OVERTIME: u64 = 100;
/// A server that could not be connected to is looked at so often, to see when it is back.
pub const RECOVERY_INTERVAL: u64 = 1_000;
/// The control plane looks at all servers so often: for the log, and for who is to be seen coming back.
pub const KEEPER_INTERVAL: u64 = 200;
/// Sessions whose server went down are told so often (`on_down = "close"`).
pub const DOWN_LOOK_INTERVAL: u64 = 250;
/// A server that closes an idle connection earlier does so for another reason than its age.
pub const IDLE_CLOSE_MIN: u64 = 100;
/// An idle timeout that was learned from closes is forgotten after this time: the server may have been restarted with another.
pub const IDLE_LIMIT_FORGOTTEN: u64 = 600_000;
/// A worker goes over to another plan between two turns of its loop; one that does not come to that is stuck.
pub const SWAP_TIMEOUT: u64 = 10_000;
/// An answer of the DNS counts at least so long, whatever its TTL: 0 is common, and means "do not cache", not "ask without pause".
pub const DNS_TTL_MIN: u64 = 1_000;
/// And at most so long: with TTLs of a day, a server that moves would be missed for a day.
pub const DNS_TTL_MAX: u64 = 300_000;
/// A name from /etc/hosts is looked up again after this time.
pub const DNS_WITHOUT_TTL: u64 = 30_000;
/// One lookup of a name, all its name servers and search domains together. glibc: 5 s for each try of each of them.
pub const DNS_LOOKUP_TIMEOUT: u64 = 5_000;
/// When a name's addresses of one family are known, those of the other are waited for so long: some name servers never answer for
/// IPv6, and what is known can be used.
pub const DNS_OTHER_FAMILY_WAIT: u64 = 1_000;
/// After a failed lookup, doubled with each in a row.
pub const DNS_RETRY_MIN: u64 = 1_000;
/// See `DNS_RETRY_MIN`.
pub const DNS_RETRY_MAX: u64 = 30_000;
/// While the configuration is read: one lookup. Whoever waits for a reload waits for it.
pub const START_LOOKUP_TIMEOUT: u64 = 3_000;
/// All lookups of one reading that ran into their limit together; then the rest get `START_LOOKUP_HURRY`.
pub const START_LOOKUPS_TIMEOUT: u64 = 2 * START_LOOKUP_TIMEOUT;
/// See `START_LOOKUPS_TIMEOUT`: what this host knows itself is found within.
pub const START_LOOKUP_HURRY: u64 = 100;
/// From SIGTERM to the end, whatever still runs.
pub const SHUTDOWN_TIMEOUT_DEFAULT: u64 = 30_000;
/// Idle client connections after SIGTERM: a request that comes within is answered with `Connection: close`.
pub const DRAIN_GRACE: u64 = 2_000;
/// A tunnel (WebSocket) with no byte either way. nginx cuts at proxy_read_timeout (60 s), the top complaint about it.
pub const TUNNEL_TIMEOUT_DEFAULT: u64 = 3_600_000;
/// Lingering close: between two reads, and in all. nginx: 5 s and 30 s.
pub const LINGER_READ_TIMEOUT: u64 = 5_000;
/// See `LINGER_READ_TIMEOUT`.
pub const LINGER_TIMEOUT: u64 = 30_000;
/// A wait for buffers before the answer is 503 `overloaded`.
pub const BUFFER_WAIT_MAX: u64 = 10_000;
/// A closed socket's last bytes may take this long to leave.
pub const CLOSE_FLUSH_MAX: u64 = 30_000;
/// Milliseconds without a byte taken after which a tunnel ends of which one side is gone: the other side may be slow with what it has
/// to take, but it may also wait for ever for somebody to read what it said.
pub const ORPHAN_MAX: u64 = 60_000;
/// Before a reset is passed on, what was sent to the other side may take this long to be acknowledged.
pub const RESET_FLUSH_MAX: u64 = 5_000;
/// Pauses before a port that is in use is tried again, and how many: when a ringgate was killed (SIGKILL), the kernel lets go of its
/// listeners only some milliseconds after its end, with the work that its ring left behind. nginx tries five times in 2.5 s.
pub const BIND_PAUSE: u64 = 50;
/// See `BIND_PAUSE`.
pub const BIND_TRIES: usize = 6;
/// Accepting pauses this long when descriptors run out, or the loop would spin on EMFILE.
pub const ACCEPT_PAUSE: u64 = 100;
/// TCP keep-alive of passthrough connections: seconds of silence before the first probe, between probes, and how many.
pub const TCP_KEEPALIVE_IDLE: i32 = 60;
/// See `TCP_KEEPALIVE_IDLE`.
pub const TCP_KEEPALIVE_INTERVAL: i32 = 10;
/// See `TCP_KEEPALIVE_IDLE`.
pub const TCP_KEEPALIVE_PROBES: i32 = 6;
/// One tick of the timer wheel: a deadline fires within one tick after it.
pub const TICK: u64 = 64;
/// A block of round-robin tickets that lay unused this long is thrown away (design section 6).
pub const TICKETS_EXPIRE: u64 = 10;
/// Longest time that a configuration may name: one leap year. Keeps sums of milliseconds far from overflow.
pub const TIME_MAX: u64 = 366 * 86_400_000;

// ---- The ring ----------------------------------------------------------------------------------------------------------

/// Entries of a submission queue: Netty found that larger ones harm latency.
pub const SQ_ENTRIES: u32 = 256;
/// Entries of a completion queue: an overflow is slow and ends multishot requests. 16384 x 16 B = 256 KiB per worker.
pub const CQ_ENTRIES: u32 = 16_384;
/// Entries of the control plane's ring: it writes one thing at a time, and memory for rings is bounded where users are not root.
pub const CONTROL_RING_ENTRIES: u32 = 16;
/// Completions taken in one turn: replies leave only at the next enter.
pub const COMPLETIONS_PER_TURN: usize = 256;
/// Tasks polled in one turn, for the same reason.
pub const TASKS_PER_TURN: usize = 256;

// ---- The control plane -------------------------------------------------------------------------------------------------

/// Descriptors of the control plane: log, admin socket, ring, polls, signals. Eleven in quiet; the rest is for who asks for the status.
pub const CONTROL_DESCRIPTORS: u64 = 16;
/// Names looked up at the same time while we run.
pub const DNS_LOOKUPS_MAX: usize = 4;
/// Descriptors of a lookup: each family's question goes out up to three times, from a port of its own, and may need a TCP connection.
pub const DNS_LOOKUP_DESCRIPTORS: u64 = 2 * (3 + 1);
/// Addresses of one name; further ones are left out. Nothing sane has more, and an answer of 64 KiB could hold four thousand.
pub const DNS_ADDRESSES_MAX: usize = 256;
/// Descriptors of a worker beside its listeners: its ring and what wakes it.
pub const WORKER_DESCRIPTORS: u64 = 2;
/// Descriptors without which starting makes no sense: a handful of connections.
pub const SPARE_DESCRIPTORS: u64 = 8;
/// Log lines waiting for the writer; beyond it they are dropped and counted.
pub const LOG_QUEUE_MAX: usize = 4096;
/// Bytes that the log writer gathers for one write.
pub const LOG_BATCH_MAX: usize = 64 * 1024;
/// Milliseconds that leaving waits for the log's last lines: a full pipe must not keep a process from ending.
pub const LOG_FLUSH_MAX: u64 = 1_000;
/// Bytes of access-log lines that a worker gathers for one file before it hands them over.
pub const ACCESS_BATCH_MAX: usize = 64 * 1024;
/// Bytes of a request line that was not understood in an access log.
pub const ACCESS_RAW_LINE_MAX: usize = 1024;
/// Such batches waiting for one file's writer (4 MiB); beyond it they are dropped and their lines counted.
pub const ACCESS_QUEUE_MAX: usize = 64;
/// Milliseconds after which lines are handed over however few they are: whoever looks into a log wants to see what happens now, and
/// waking the control thread costs as much as several lines.
pub const ACCESS_DELAY: u64 = 200;
/// Milliseconds that the end of a process, and a rotation, wait for workers to hand over what they have gathered.
pub const ACCESS_HAND_OVER_MAX: u64 = 500;
/// Connections to the admin socket answered at a time; further ones wait in its accept queue.
pub const ADMIN_CONNECTIONS_MAX: usize = 32;
/// Milliseconds for a head on the admin socket.
pub const ADMIN_HEAD_TIMEOUT: u64 = 5_000;
/// Bytes of an answer that `ringgate status` believes.
pub const ADMIN_ANSWER_MAX: u64 = 256 * 1024 * 1024;
/// Files that one configuration may include, directly or not.
pub const INCLUDES_MAX: usize = 1000;
/// Files that may include one another in a row: each costs stack while it is read, and nobody needs more than two.
pub const INCLUDE_DEPTH_MAX: usize = 16;
/// Bytes of one word of an nginx.conf, where nginx itself gives up.
pub const NGINX_WORD_MAX: usize = 4096;
/// Blocks of an nginx.conf within one another: each costs stack while it is read, and nobody needs more than eight.
pub const NGINX_DEPTH_MAX: usize = 64;
/// Bytes of a unix socket's path (`sun_path` holds 108 with its NUL).
pub const UNIX_PATH_MAX: usize = 107;
/// Bytes of one configuration file.
pub const CONFIG_FILE_MAX: u64 = 16 * 1024 * 1024;

const _: () = assert!(BUFFER_SMALL >= HEAD_MAX + HEAD_GROWTH_MAX, "a rewritten head fits one buffer");
const _: () = assert!(BUFFER_SMALL > 2 * 6 * (PAGE_URI_MAX + HOST_MAX) + 1024, "a page with a link fits one buffer");
const _: () = assert!(BUFFER_SMALL > ACME_ANSWER_MAX as usize + 1024, "an ACME answer fits one buffer");
const _: () = assert!(TARGET_MAX + 512 < HEAD_MAX, "a request line within its limit leaves room for fields");
const _: () = assert!(BUFFER_SMALL > CHUNK_HEADROOM + CHUNK_TAILROOM + TRAILERS_MAX, "body data can always move");
const _: () = assert!(BUFFER_SMALL >= CLIENT_HELLO_WIRE_MAX, "a ClientHello fits one buffer");
const _: () = assert!(BUFFER_SMALL >= PROXY_V2_MAX, "a PROXY protocol header fits one buffer");
const _: () = assert!(BUFFERS_SMALL_MAX >= EXCHANGE_BUFFERS, "one exchange can always run");
const _: () =
    assert!(SERVERS_MAX <= u16::MAX as usize && SERVERS_MAX <= CYCLE_MAX, "every server has a place in a cycle");
const _: () = assert!(
    STICKY_COOKIE_MAX + HSTS_BYTES_MAX + 512 < HEAD_GROWTH_MAX,
    "a cookie and our fields fit behind a full head"
);
const _: () = assert!(SERVERS_MAX * MAGLEV_SLOTS_MIN <= MAGLEV_SIZES[1], "every server has its slots");
const _: () = assert!(DRAIN_GRACE < SHUTDOWN_TIMEOUT_DEFAULT, "idle connections go before the end");
const _: () = assert!(DNS_ADDRESSES_MAX <= SERVERS_MAX, "one name fits into a group");
const _: () = assert!(DNS_TTL_MIN <= DNS_TTL_MAX && DNS_RETRY_MIN <= DNS_RETRY_MAX, "bounds in order");
const _: () = assert!(CQ_ENTRIES as usize > COMPLETIONS_PER_TURN, "a turn's completions fit");
const _: () = assert!(PROXY_KEEPALIVE_TIMEOUT_DEFAULT < 60_000, "we close before the servers do");
const _: () = assert!(BUFFER_SMALL >= CLIENT_HELLO_WIRE_MAX, "a ClientHello fits one buffer");
const _: () = assert!(BUFFER_SMALL >= PROXY_V2_MAX, "a PROXY protocol header fits one buffer");
