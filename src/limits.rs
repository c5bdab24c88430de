//! Every named limit of the program but those of one kind of receiver, which its own file has, with the reason for its size.
//!
//! A limit that is hit is always visible: in a log line, in the message, or in the delivery's error. This module
//! knows nothing else of the program.

use std::time::Duration;

/// Largest response body of a scheduler, counted after decompression. A page of 1,000 instances is about 400 kB.
pub const SOURCE_BODY_BYTES_MAX: usize = 16 << 20;
/// Deepest JSON nesting read from a scheduler; documented bodies nest four deep.
pub const SOURCE_JSON_DEPTH_MAX: usize = 64;
/// Records asked for in one page of an instance list (the largest that DataArts accepts).
pub const SOURCE_PAGE_RECORDS: usize = 1000;
/// Jobs asked for in one page of a job list (the largest that DataArts surely accepts).
pub const JOB_PAGE_RECORDS: usize = 100;
/// Pages of a job list that are read: a workspace holds 10,000 jobs at most.
pub const JOB_PAGES_MAX: usize = 150;
/// How long the names of real-time jobs are believed, by which sub-jobs are told apart, before they are read again.
pub const REAL_TIME_JOBS_AGE_MAX: Duration = Duration::from_secs(5 * 60);
/// Time that may be spent on finding out which real-time job a sub-job belongs to: the alarm must not wait for a name.
pub const PART_OF_TIME_MAX: Duration = Duration::from_secs(10);
/// Real-time jobs that may be asked for their nodes to tell which one a sub-job belongs to.
pub const PART_OF_CANDIDATES_MAX: usize = 4;
/// Requests one listing may spend before it is called incomplete.
pub const SOURCE_LISTING_REQUESTS_MAX: usize = 500;
/// Longest plan-time span that one query to DataArts may ask for.
pub const DATAARTS_SPAN_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// How far a poll reads back before the last complete one, so that late rows are still seen.
pub const SOURCE_OVERLAP: Duration = Duration::from_secs(600);
/// Time one listing may take: what the requests it may spend need at the usual pace, three times over.
pub const SOURCE_LISTING_TIME_MAX: Duration = Duration::from_secs(15 * 60);
/// Items of one listing that are logged when they cannot be understood; their number is told in any case.
pub const SET_ASIDE_LOGGED_MAX: usize = 5;
/// Windows in a row that may bring nothing new before a listing gives up on what it still misses: halving seven days
/// down to one millisecond takes sixty.
pub const SOURCE_LISTING_FRUITLESS_MAX: usize = 64;
/// Error bodies of a scheduler are understood up to this size; longer ones are quoted.
pub const SOURCE_ERROR_BODY_BYTES_MAX: usize = 64 << 10;
/// Longest pause before the one retry that a request to a scheduler gets; who asks for more waits for the next poll.
pub const SOURCE_RETRY_PAUSE_MAX: Duration = Duration::from_secs(5);
/// Pause before that retry when the scheduler names none.
pub const SOURCE_RETRY_PAUSE: Duration = Duration::from_millis(500);
/// Furthest that the clock of a signed request may be off (the gateway's own limit).
pub const SOURCE_CLOCK_SKEW_MAX: Duration = Duration::from_secs(15 * 60);
/// How long before its end a token is renewed, so that none ends in the middle of a listing.
pub const TOKEN_RENEWED_AHEAD: Duration = Duration::from_secs(3600);
/// How long a token is taken to be good when the service does not say.
pub const TOKEN_LIFE_UNTOLD: Duration = Duration::from_secs(2 * 3600);
/// How long a refused password is not tried again: the service locks a user after a few wrong ones.
pub const SIGN_IN_REFUSED_PAUSE: Duration = Duration::from_secs(15 * 60);
/// Jobs that a source may name: each of them costs a request at each poll.
pub const SOURCE_JOBS_NAMED_MAX: usize = 50;
/// Deadline of one request to a scheduler, connect to last byte.
pub const SOURCE_REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest text that is read through for its end, counted after decompression: a log of a million lines is more than anybody
/// waits for.
pub const TAILED_BYTES_MAX: usize = 128 << 20;
/// Deadline for connecting to anything.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Records asked for in one page of a SchedulerX list; the most that its documents show.
pub const SCHEDULERX_PAGE_RECORDS: usize = 100;
/// Calls of one SchedulerX operation in any minute by all sources of one access key: the service bears 100.
pub const SCHEDULERX_CALLS_PER_MINUTE: usize = 80;
/// Calls that one SchedulerX listing may spend before it is called incomplete: what fits [`SOURCE_LISTING_TIME_MAX`] at the
/// allowed rate, with a minute to spare.
pub const SCHEDULERX_LISTING_CALLS_MAX: usize = 1100;
/// Pages of one SchedulerX list at most: beyond it the list has come to a standstill, or the window is far too long.
pub const SCHEDULERX_PAGES_MAX: usize = 1000;
/// How long names of SchedulerX jobs are believed before they are read again.
pub const SCHEDULERX_JOBS_AGE_MAX: Duration = Duration::from_secs(5 * 60);
/// How long the schedules that jobs have in their schedulers are believed before they are read again; when one of them
/// is due, they are read anew.
pub const OWN_SCHEDULES_AGE_MAX: Duration = Duration::from_secs(10 * 60);
/// How far a planned run may be off its due time and still be planned by the schedule that has it.
pub const PLAN_TIME_TOLERANCE: Duration = Duration::from_secs(60);
/// Jobs that one warning names.
pub const JOBS_NAMED_MAX: usize = 5;
/// Jobs asked one by one to find out whether an empty answer about a whole group is true.
pub const SCHEDULERX_PROBED_JOBS: usize = 3;
/// Workflows of a SchedulerX source that one poll asks for their instances, one call each; the others take turns.
pub const SCHEDULERX_WORKFLOWS_PER_POLL: usize = 40;
/// Calls that one poll may spend on finding out which workflows' runs the failed runs of jobs belong to.
pub const SCHEDULERX_ROOT_CALLS_PER_POLL: usize = 4;
/// How long it is believed which jobs a workflow has: people edit workflows.
pub const SCHEDULERX_WORKFLOW_JOBS_AGE_MAX: Duration = Duration::from_secs(3600);
/// Runs of one workflow that are remembered, the latest: among them the run is looked for that a failed job belongs to.
pub const SCHEDULERX_WORKFLOW_RUNS_KEPT: usize = 100;
/// How long a service that refuses to tell of workflows is not asked for them again.
pub const SCHEDULERX_WORKFLOWS_REFUSED_PAUSE: Duration = Duration::from_secs(3600);
/// Last lines of a failed instance's log that are told, and the most of them in bytes.
pub const LOG_TAIL_LINES: usize = 12;
/// The most of those lines, in bytes: they share [`INSTANCE_ERROR_BYTES_MAX`] with the result.
pub const LOG_TAIL_BYTES_MAX: usize = 3072;

/// Most lines of a log in OBS that are told.
pub const OBS_TAIL_LINES_MAX: u32 = 50;
/// So many of its last bytes are read: lines of a log are long, and some are cut out.
pub const OBS_TAIL_BYTES: usize = 64 << 10;
/// Largest packed log that is read: it must be read from its beginning.
pub const OBS_GZIP_BYTES_MAX: usize = 4 << 20;
/// Most bytes that are unpacked of one.
pub const OBS_UNPACKED_BYTES_MAX: u64 = 64 << 20;
/// How long one call of the bucket may take. All logs of a poll together have [`LOGS_TIME_MAX`].
pub const OBS_TIMEOUT: Duration = Duration::from_secs(4);
/// Logs that one source reads at once.
pub const OBS_AT_ONCE: usize = 2;

/// Detail calls under way at once for one source.
pub const DETAIL_CONCURRENCY: usize = 4;
/// Time one poll may spend on detail calls before the alerts go out without them.
pub const DETAIL_TIME_MAX: Duration = Duration::from_secs(20);
/// Time one poll may then spend on the ends of logs that are kept elsewhere before the alerts go out without them.
pub const LOGS_TIME_MAX: Duration = Duration::from_secs(8);
/// Instances outside the listing that one poll asks after one by one.
pub const FOLLOWED_PER_POLL_MAX: usize = 50;
/// How long an instance that never ends is followed (DataArts cancels waiting instances after 60 days).
pub const FOLLOWED_AGE_MAX: Duration = Duration::from_secs(61 * 24 * 3600);

/// How long a source must go on showing a state of a run that looks older than what is known, until it is believed: its
/// replicas are not behind for so long, and it may have corrected a time.
pub const STALE_BELIEVED_AFTER: Duration = Duration::from_secs(15 * 60);
/// How often it must have been seen in that time.
pub const STALE_SEEN_MIN: u32 = 5;

/// Shortest span of plan times that a catch-up reads in one listing.
pub const SLICE_MIN: Duration = Duration::from_secs(3600);
/// How long nothing may cover an alert before it ends as unwatched: who edits a rule file is done by then.
pub const UNWATCHED_AFTER: Duration = Duration::from_secs(10 * 60);
/// How often the list of jobs is read for the alerts about jobs that fire, where no rule is about jobs.
pub const JOBS_LOOK: Duration = Duration::from_secs(10 * 60);
/// How long a job that is gone is kept in mind for a rule that does not name it in full: which runs such a rule expects it knows
/// by those of the week before.
pub const GONE_JOBS_KEPT: Duration = Duration::from_secs(8 * 24 * 3600);
/// Jobs of items that nobody understood at the first look of which it is remembered that they were never read; where there are
/// more, any run may be one of them.
pub const LEFT_OUT_JOBS_MAX: usize = 200;
/// How far a rule about absence may lag behind what is covered: what it could not judge for longer is given up, and said.
pub const LAGGING_MAX: Duration = Duration::from_secs(24 * 3600);
/// Episodes of one rule and subject with the same times that people are notified of; more are a fault of the source. The first of
/// those is recorded.
pub const EPISODES_MAX: u32 = 1000;

/// Past runs of one job that conditions on its history look at: a month of an hourly job.
pub const HISTORY_RUNS_MAX: usize = 1000;
/// Past runs of all jobs of a source that are kept at hand between polls (about 200 bytes each); beyond it all are
/// forgotten at once and read again.
pub const HISTORY_RUNS_CACHED_MAX: usize = 300_000;
/// A run is not called slower than usual before it has lasted this much longer than usual: polls are a minute apart.
pub const SLOWER_EXCESS_MIN: Duration = Duration::from_secs(60);
/// Due times of one rule about missing runs that one poll looks at, after an outage; of more, the latest.
pub const DUE_TIMES_PER_POLL_MAX: usize = 200;
/// Longest grace of a rule about missing runs.
pub const GRACE_MAX: Duration = Duration::from_secs(24 * 3600);

/// Longest text kept of one foreign field (job name, log path, error), in bytes; cut at a character boundary.
pub const FIELD_BYTES_MAX: usize = 1024;
/// Longest failure text kept of one instance (its result and the end of its log), in bytes: what a person reads on a
/// phone before opening the log itself. Channels with less room keep the line that names the error and what stands around it.
pub const INSTANCE_ERROR_BYTES_MAX: usize = 4096;
/// Failing nodes kept in one message.
pub const NODES_MAX: usize = 20;
/// Bytes kept of a channel's answer in a delivery's error.
pub const ANSWER_KEPT_BYTES_MAX: usize = 500;
/// Bytes read of a channel's answer before the connection is dropped.
pub const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Deadline of one attempt over HTTP, connect to last byte.
pub const NOTIFY_HTTP_TIMEOUT: Duration = Duration::from_secs(30);
/// Alerts that are looked at for one message about several: more than any channel's message can name.
pub const GROUP_MEMBERS_MAX: usize = 1000;
/// From how many alerts on that are alike, without an error that they share, a group gives them one line together.
pub const GROUP_ALIKE_MIN: usize = 3;
/// Most lines of a group; what goes beyond is named without its errors.
pub const GROUP_LINES_MAX: usize = 12;
/// Of how many of its lines a group tells the node and the log path.
pub const GROUP_NODES_MAX: usize = 3;
/// Lines of a message about several alerts that lead to their alert on the page, at most: some channels take few bytes.
pub const GROUP_LINKS_MAX: usize = 5;
/// The longest that the first alert of a group waits for others: who wants to hear later wants a digest.
pub const GROUP_WAIT_MAX: Duration = Duration::from_secs(3600);
/// The farthest apart that two messages of a group can be told to be.
pub const GROUP_INTERVAL_MAX: Duration = Duration::from_secs(24 * 3600);
/// The longest that anything is held back until a window opens: a week of holidays with the weekends around it, and some days.
pub const HOLD_MAX: Duration = Duration::from_secs(14 * 24 * 3600);
/// How far ahead it is looked for times that no step and no route covers.
pub const HOURS_LOOKED_AHEAD: Duration = Duration::from_secs(370 * 24 * 3600);
/// Least time after which what still fires is told again.
pub const GROUP_REPEAT_MIN: Duration = Duration::from_secs(60);
/// Most of it: what was told may be forgotten after the retention.
pub const GROUP_REPEAT_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// How often groups that are to be told again are looked for.
pub const GROUP_REPEAT_LOOK: Duration = Duration::from_secs(15);
/// Most messages a minute, and most at once, that a `rate` can allow.
pub const RATE_MAX: u32 = 100_000;
/// What counts as a minute when sending keeps to so many a minute: what leaves evenly need not arrive evenly.
pub const RATE_MINUTE: Duration = Duration::from_millis(61_500);
/// Deadline of one attempt over SMTP, connect to receipt: above the ten minutes for which a server may think over a mail.
pub const NOTIFY_SMTP_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// Bytes an SMTP server may send in reply to one command.
pub const SMTP_REPLY_BYTES_MAX: usize = 16 << 10;
/// How long an SMTP connection is kept for the next mail.
pub const SMTP_IDLE_MAX: Duration = Duration::from_secs(30);

/// Largest rendered part of one message: room for all data of the largest one, escaped.
pub const TEMPLATE_OUTPUT_BYTES_MAX: usize = 256 << 10;
/// Largest template file.
pub const TEMPLATE_FILE_BYTES_MAX: usize = 64 << 10;
/// Deepest nesting of blocks in a template: deeper ones overflow the engine's stack.
pub const TEMPLATE_DEPTH_MAX: usize = 32;

/// Longest `lookback` of a source, and as far as a catch-up after an outage goes back: a week.
pub const LOOKBACK_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// Largest configuration file.
pub const CONFIG_FILE_BYTES_MAX: usize = 8 << 20;
/// Most files of a directory of rule files.
pub const CONFIG_FILES_MAX: usize = 1000;
/// How often a running program looks whether the rule files have changed. What has changed is taken up once it has stood
/// still for as long.
pub const CONFIG_LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long after a sound configuration could not be put in force that is tried again.
pub const CONFIG_TRY_AGAIN: Duration = Duration::from_secs(60);
/// Largest calendar file.
pub const CALENDAR_FILE_BYTES_MAX: usize = 256 << 10;
/// Longest holiday of a calendar file, in days from its first to its last: a longer one is a slip of the pen.
pub const CALENDAR_SPAN_DAYS_MAX: i32 = 100;
/// How long before a year begins that a calendar does not cover `check` says so: by then its holidays are published.
pub const CALENDAR_WARNED_AHEAD: Duration = Duration::from_secs(45 * 24 * 3600);
/// Deepest YAML nesting: deeper ones overflow the parser's stack.
pub const CONFIG_DEPTH_MAX: usize = 32;

/// How long after its plan time a source can still list an instance: the longest window and a day to spare.
pub const LISTED_AGAIN_MAX: Duration = Duration::from_secs(8 * 24 * 3600);
/// Rows that one bulk statement of the store writes; more are written by several in the same transaction.
pub const STORE_STATEMENT_ROWS_MAX: usize = 1000;
/// About how much text one statement over rows takes at most: the database holds it several times while it works on it.
pub const STORE_STATEMENT_BYTES_MAX: usize = 256 << 10;
/// How many messages a poll renders before it writes them: so many are held at once of those of thousands of alerts.
pub const RENDERED_AT_ONCE: usize = 100;
/// Rows that one transaction of the purge removes, so that it never holds up a poll or a lane for long.
pub const STORE_PURGE_ROWS_MAX: usize = 1000;
/// Largest store file, in bytes, that is read from end to end when it is opened, to prove that it is whole.
pub const STORE_CHECK_SIZE_MAX: u64 = 64 * 1024 * 1024;
/// How long a call waits for its turn to write, and for another process's lock on the file.
pub const STORE_WAIT_MAX: Duration = Duration::from_secs(10);
/// How often a transaction is tried that the database gives up because of others.
pub const STORE_TRIES_MAX: u32 = 6;
/// Pause before such a transaction is tried again, the first time; one more of it each time after.
pub const STORE_RETRY_PAUSE: Duration = Duration::from_millis(20);
/// Longest time that one statement may take on a database server, until it says the next row.
pub const STORE_CALL_MAX: Duration = Duration::from_secs(30);
/// Longest time that bringing a database up to date may take.
pub const STORE_MIGRATION_MAX: Duration = Duration::from_secs(10 * 60);
/// How long a step of that waits for a table that replicas work on: whoever wants it next waits behind it.
pub const STORE_MIGRATION_LOCK_MAX: Duration = Duration::from_secs(3);
/// How long a connection may hold a transaction open without asking for anything: what it has locked is free then.
pub const STORE_IDLE_TRANSACTION_MAX: Duration = Duration::from_secs(8);
/// After how long without an answer the database server gives a connection up.
pub const STORE_SILENCE_MAX: Duration = Duration::from_secs(10);
/// Connections to a database server that write, and as many that read, of one process.
pub const STORE_CONNECTIONS_MAX: u32 = 4;
/// A connection that was idle for so long is asked whether it is there before it is used.
pub const STORE_IDLE_MAX: Duration = Duration::from_secs(5);
/// How long it may take to answer that.
pub const STORE_PING_MAX: Duration = Duration::from_secs(2);
/// How long a connection to a database server is used before another takes its place.
pub const STORE_CONNECTION_LIFE: Duration = Duration::from_secs(30 * 60);
/// Longest sleep of a lane beside other replicas: what they store for it wakes nobody here.
pub const SHARED_SLEEP_MAX: Duration = Duration::from_secs(1);
/// The same of another loop that is otherwise woken.
pub const SHARED_TURN_EVERY: Duration = Duration::from_secs(5);
/// How long a lease lasts after it was taken or renewed.
pub const LEASE_SPAN: Duration = Duration::from_secs(15);
/// By how much less its holder trusts it.
pub const LEASE_MARGIN: Duration = Duration::from_secs(2);
/// How often it is renewed.
pub const LEASE_RENEW_EVERY: Duration = Duration::from_secs(5);
/// How often a replica looks at the leases.
pub const LEASE_LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often it looks while a lease is free, or is so in a moment because its holder stops; and how often it asks, between two
/// looks, whether one is: by this and by how long a loop takes to end a lease is without a holder after a stop.
pub const LEASE_LOOK_SOON: Duration = Duration::from_millis(200);
/// How long one call about leases may take.
pub const LEASE_CALL_MAX: Duration = Duration::from_secs(4);
/// How long a poll, or another turn of a loop, may take when its lease is to be given up; then it is cut, and whoever takes
/// over begins it anew: what a turn changes it commits at once.
pub const LEASE_TURN_ENDS_WITHIN: Duration = Duration::from_millis(300);
/// How often a replica that has more than its share hands a lease over.
pub const LEASE_HAND_OVER_EVERY: Duration = Duration::from_secs(60);
/// After how long a free lease is taken also by a replica that has its share: longer than from one look to the next while one is
/// free ([`LEASE_LOOK_SOON`]).
pub const LEASE_LEFT_AFTER: Duration = Duration::from_millis(500);
/// How long who hands a lease over leaves it to the others.
pub const LEASE_LEFT_TO_OTHERS: Duration = Duration::from_secs(20);
/// After how long a replica that says nothing has no part in the loops that are free.
pub const REPLICA_QUIET_AFTER: Duration = Duration::from_secs(5);
/// After how long a replica that says nothing counts as gone.
pub const REPLICA_GONE_AFTER: Duration = Duration::from_secs(15);
/// After how many looks in a row at which nobody was there who has the configuration in force another one takes effect. So
/// many that one which is started anew comes back before that; so few that a file of before, which was put back by restarting
/// one machine after the other, is gone by within the time that a takeover may take.
pub const REPLICA_LONELY_LOOKS: u32 = 12;
/// After how long it is told that one has another configuration than the one in force.
pub const REPLICA_OUTDATED_AFTER: Duration = Duration::from_secs(5 * 60);
/// After how long it is forgotten.
pub const REPLICA_FORGOTTEN_AFTER: Duration = Duration::from_secs(24 * 3600);
/// First pause after the store failed; it doubles up to [`STORE_BACKOFF_MAX`].
pub const STORE_BACKOFF_MIN: Duration = Duration::from_secs(1);
/// Longest pause between two tries to reach a database that is not there when Nightbell starts.
pub const STORE_START_PAUSE_MAX: Duration = Duration::from_secs(30);
/// Longest pause between two tries to write to a store that fails: once it is mended, deliveries go on within ten seconds.
pub const STORE_BACKOFF_MAX: Duration = Duration::from_secs(8);

/// Most deliveries that a lane holds: claimed ahead, under way, or not settled yet.
pub const LANE_CLAIM_MAX: usize = 512;
/// Deliveries a lane holds for each attempt it may have under way: enough to claim and settle in groups, and few enough
/// that a slow receiver holds little whose outcome a kill would leave unknown.
pub const LANE_CLAIM_PER_ATTEMPT: usize = 16;
/// Messages that a lane has sent or sends and whose outcomes are not stored yet, for each attempt it may have under way: these
/// and no others may arrive twice when it is killed. Two, so that it sends while the store works.
pub const LANE_UNKNOWN_PER_ATTEMPT: usize = 2;
/// Longest that a lane leaves a channel alone beyond what that asked for: a message's own schedule can be longer.
pub const LANE_PAUSE_UNASKED_MAX: Duration = Duration::from_secs(60);
/// Longest sleep of a lane, so that a step of the wall clock is noticed.
pub const LANE_SLEEP_MAX: Duration = Duration::from_secs(60);
/// How long after its notifier's own deadline an attempt is given up although the notifier has not returned.
pub const ATTEMPT_SLACK: Duration = Duration::from_secs(30);
/// How long a lane waits for attempts under way that is to end while another replica can have its lease, because the lease is
/// handed over or the configuration is another one: then they are cut. Most answers come sooner, and who hangs holds up no
/// rolling update.
pub const LANE_RETIRE_MAX: Duration = Duration::from_secs(10);
/// The same when its process stops: its lease is another replica's within two seconds.
pub const LANE_HURRY_MAX: Duration = Duration::from_millis(700);
/// How long a lane that stops then has to store what became of what it has cut.
pub const LANE_CUT_SETTLES: Duration = Duration::from_millis(300);
/// How long a stopping lane waits for attempts under way. What is not known by then is taken back at the next start.
pub const LANE_STOP_MAX: Duration = Duration::from_secs(25);
/// How long the program takes to stop: it is gone within thirty seconds, whatever hangs.
pub const STOP_TIME_MAX: Duration = Duration::from_secs(27);
/// Time that the end of kept connections may take when the program stops: it is polite, and nothing rests on it.
pub const LEAVE_TIME_MAX: Duration = Duration::from_secs(1);
/// How long closing the store may take.
pub const STORE_CLOSE_TIME_MAX: Duration = Duration::from_secs(1);
/// How long ago a delivery may have died for its fallback still to be told: who adds a fallback to the file today does
/// not want the dead letters of a month, and who starts Nightbell again in the morning wants those of the night.
pub const FALLBACK_DEAD_AGE_MAX: Duration = Duration::from_secs(24 * 3600);
/// Deliveries that go to a fallback in one transaction.
pub const FALLBACK_BATCH: usize = 200;
/// Longest sleep between two looks for what a fallback must be told.
pub const FALLBACK_SLEEP_MAX: Duration = Duration::from_secs(60);
/// Shortest sleep, so that a row that cannot be handled is looked at once a second at most.
pub const FALLBACK_SLEEP_MIN: Duration = Duration::from_secs(1);
/// Steps that a rule's "notify" may have.
pub const ESCALATION_STEPS_MAX: usize = 10;
/// How long after the first telling a step may be due at most.
pub const ESCALATION_AFTER_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long a step may be overdue and is taken all the same: who adds a step to a rule today does not want to hear of
/// what has fired for a month, and what a long weekend has muted is to be heard of.
pub const ESCALATION_LATE_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// Steps that are taken in one transaction.
pub const ESCALATION_BATCH: usize = 200;
/// Longest sleep between two looks for alerts that must go further: of one that began on another replica nobody says so.
pub const ESCALATION_SLEEP_MAX: Duration = Duration::from_secs(5);
/// Most rounds that the steps of a rule begin anew.
pub const ESCALATION_ROUNDS_MAX: u32 = 50;
/// How often a delivery is attempted before its time because its receiver takes other messages, and fails all the same: after
/// that it is the message that is at fault, and it goes by its own schedule.
pub const HURRY_TIMES_MAX: u32 = 3;
/// How many such deliveries a lane remembers.
pub const HURRY_KNOWN_MAX: usize = 1000;
/// How long a delivery is retried before it is dead: hours in which Nightbell did not run do not count.
pub const DELIVERY_PATIENCE: Duration = Duration::from_secs(24 * 3600);
/// The latest that the next attempt of a delivery can lie ahead: the longest wait of the retry schedule, a channel's
/// `Retry-After`, or the spread of a digest, with something to spare.
pub const DELIVERY_WAIT_MAX: Duration = Duration::from_secs(2 * 3600);
/// Longest `Retry-After` that is believed.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// Items told of each list of a digest; how many there are is told in any case.
pub const DIGEST_LISTED_MAX: usize = 50;
/// Lines of what is still broken in the short form of a digest.
pub const DIGEST_LINES_MAX: usize = 8;
/// Lines there of what is late or took too long.
pub const DIGEST_LATE_LINES_MAX: usize = 5;
/// Jobs among the slowest and the most changed: more are no news.
pub const DIGEST_RANKED_MAX: usize = 10;
/// Runs under way, the longest first, that a digest compares with what is usual.
pub const DIGEST_RUNNING_MAX: usize = 200;
/// Runs of a job, the latest first, that say how long it usually takes.
pub const DIGEST_HISTORY_RUNS: usize = 60;
/// Fewest runs that say so.
pub const DIGEST_HISTORY_RUNS_MIN: usize = 5;
/// The shortest pause between two calls of `run --once` that a digest names as a time in which nobody asked. Crontabs that
/// call it every hour, or more often, leave none.
pub const ONCE_SILENCE_MIN: Duration = Duration::from_secs(2 * 3600);
/// How long a digest waits for the polls of the minute it is due in, or of a program that has just started.
pub const DIGEST_WAIT_MAX: Duration = Duration::from_secs(60);
/// Longest span over which the receivers of a digest may be spread.
pub const DIGEST_SPREAD_MAX: Duration = Duration::from_secs(3600);
/// How far a digest's own record may be ahead of the clock before the clock is believed to have been wrong then.
pub const DIGEST_AHEAD_MAX: Duration = Duration::from_secs(48 * 3600);
/// Due times that are counted one by one when digests were missed; beyond it "or more" is meant.
pub const DIGEST_MISSED_COUNTED_MAX: u64 = 1000;
/// Slack beyond two poll intervals before a pause in the polling is called a gap: what a slow listing may take.
pub const POLL_GAP_SLACK: Duration = Duration::from_secs(60);

/// How often Nightbell looks for alerts of sources that the configuration no longer has.
pub const UNWATCHED_LOOK: Duration = Duration::from_secs(30);
/// How long ago an alert was closed before it is counted: what is done now is on record soon after.
pub const CLOSED_COUNTED_AFTER: Duration = Duration::from_secs(10);
/// How many messages a receiver rejects in a row before it is taken to be at fault, and not the messages.
pub const REJECTED_IN_A_ROW: u32 = 2;
/// How long something that waiting will not mend stands without a success beside it before its receiver is called dead.
pub const OWN_TROUBLE_SETTLES: Duration = Duration::from_secs(60);
/// How often Nightbell looks at itself.
pub const OWN_SLEEP: Duration = Duration::from_secs(5);
/// How long ago a gap may have ended that is still told: Nightbell may have been down in between.
pub const OWN_GAP_AGE_MAX: Duration = Duration::from_secs(24 * 3600);
/// Shortest time between two heartbeats.
pub const HEARTBEAT_EVERY_MIN: Duration = Duration::from_secs(1);
/// Longest time between two heartbeats.
pub const HEARTBEAT_EVERY_MAX: Duration = Duration::from_secs(24 * 3600);
/// Deadline of one heartbeat.
pub const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes read of the answer to a heartbeat: nothing in it counts.
pub const HEARTBEAT_ANSWER_BYTES_MAX: usize = 4 << 10;
/// Slack beyond two turns of a poll loop before it is taken to hang.
pub const HEARTBEAT_POLL_SLACK: Duration = Duration::from_secs(60);
/// How long a turn of a loop may take, or its turns may fail, before the loop is taken to hang.
pub const LOOP_HANGS_AFTER: Duration = Duration::from_secs(600);
/// The same of a poll: a listing may take [`SOURCE_LISTING_TIME_MAX`], and all else as long again.
pub const POLL_HANGS_AFTER: Duration = Duration::from_secs(2 * SOURCE_LISTING_TIME_MAX.as_secs());
/// How long a delivery may be due and not tried before its lane is taken to hang: longer than any attempt takes.
pub const LANE_HANGS_AFTER: Duration = Duration::from_secs(20 * 60);
/// Longest time that one test of the rules looks at.
pub const RULE_TEST_SPAN_MAX: Duration = Duration::from_secs(31 * 24 * 3600);

/// How long before the time that is asked for a replay begins: as far as a poll can read back, and a day, so that what was
/// going on is known.
pub const REPLAY_WARM_UP: Duration = LISTED_AGAIN_MAX;

/// The longest that alerts, deliveries and runs can be kept after they ended.
pub const RETENTION_MAX: Duration = Duration::from_secs(400 * 24 * 3600);
/// Least of it: a source can list a run again for so long, so it would be kept all the same.
pub const RETENTION_MIN: Duration = LISTED_AGAIN_MAX;
/// How long the counts of a day's runs are kept after the runs are gone.
pub const JOB_DAYS_KEPT: Duration = Duration::from_secs(400 * 24 * 3600);

/// Longest pattern of job names, in bytes; a longer one is a list that belongs into several.
pub const PATTERN_BYTES_MAX: usize = 1024;
/// Memory one compiled pattern may take: repetitions of repetitions grow without it.
pub const PATTERN_COMPILED_BYTES_MAX: usize = 1 << 20;
/// Patterns with the same beginning that are compiled into one set: with many more, sets grow too large to compile.
pub const PATTERNS_PER_SET_MAX: usize = 256;
/// Memory the regular expressions of one such set may take when compiled.
pub const PATTERN_SET_COMPILED_BYTES_MAX: usize = 256 << 20;
/// Job names for which the matching rules are remembered; beyond it all are forgotten at once and found again.
pub const MATCH_CACHE_NAMES_MAX: usize = 20_000;
/// How often the store is purged.
pub const PURGE_INTERVAL: Duration = Duration::from_secs(3600);
/// Longest name of a source, receiver, rule or digest.
pub const NAME_BYTES_MAX: usize = 100;

/// Longest value of a label, in bytes.
pub const LABEL_BYTES_MAX: usize = 200;

/// Longest address of a link in a message. Chats take two thousand characters and some more.
pub const LINK_BYTES_MAX: usize = 2000;
/// Longest `description` and address in the file, as it is written.
pub const GUIDE_TEXT_BYTES_MAX: usize = 2000;

/// Silences that may hold at once: every poll reads them all.
pub const SILENCES_ACTIVE_MAX: usize = 1000;
/// Longest silence: what is to be quiet for longer is no rule any more.
pub const SILENCE_TIME_MAX: Duration = Duration::from_secs(366 * 24 * 3600);
/// Longest reason of a silence or an acknowledgement, and longest name of who gives it, in bytes: it goes into the
/// alert's one line.
pub const REASON_BYTES_MAX: usize = 300;
/// Alerts of other sources that a poll looks at to find those that hold back its own, the oldest first.
pub const INHIBITING_MAX: usize = 10_000;
/// Fewest characters of an alert's id that may stand for it.
pub const ALERT_PREFIX_MIN: usize = 4;
/// How far back an alert says how its job has fared.
pub const LATELY_TIME: Duration = Duration::from_secs(7 * 24 * 3600);
/// Successful runs that tell what is usual of a job, the latest ones, and the fewest that do.
pub const USUAL_RUNS_MAX: usize = 20;
/// See [`USUAL_RUNS_MAX`].
pub const USUAL_RUNS_MIN: usize = 3;
/// Characters of an alert's or a delivery's id that people are shown: enough to tell thousands apart, and few enough to type.
pub const ALERT_ID_SHOWN: usize = 8;
/// Most alerts that one command acknowledges or closes.
pub const ACK_ALERTS_MAX: usize = 10_000;
/// Alerts that are read to find out which one the beginning of an id means.
pub const ALERTS_OF_A_PREFIX_MAX: usize = 3;

/// Log lines that wait to be written; more are dropped and counted.
pub const LOG_LINES_QUEUED_MAX: usize = 8192;
/// Longest log line.
pub const LOG_LINE_BYTES_MAX: usize = 16 << 10;

/// Runs with the same id, of several jobs, that are read at a time.
pub const RUNS_OF_AN_ID_READ: usize = 200;
/// Runs of a job, and alerts of a rule about it, that an explanation shows; and what one asks after that is explained at once.
pub const EXPLAINED_RUNS_MAX: usize = 10;
/// Alerts about one job that an explanation looks at.
pub const EXPLAINED_ALERTS_MAX: usize = 200;
/// Messages of one alert that an explanation shows.
pub const EXPLAINED_DELIVERIES_MAX: usize = 50;
/// States of a run that an explanation shows, the latest ones.
pub const EXPLAINED_TRANSITIONS_MAX: usize = 20;
/// Rules about other jobs that an explanation names one by one; of more it tells the number.
pub const EXPLAINED_OTHERS_MAX: usize = 20;
/// Mistakes of a broken configuration that a person on call is shown before what they asked for.
pub const MISTAKES_SHOWN_ON_CALL: usize = 3;
/// Receivers of an alert up to which `explain` tells every attempt; of more it tells each in one line.
pub const EXPLAINED_IN_FULL_MAX: usize = 5;
/// Jobs that a pattern may mean for `explain`: more are a list, and no explanation.
pub const EXPLAINED_JOBS_MAX: usize = 20;
/// How narrow the last column of a table may become before its rows are written below each other, in characters.
pub const TABLE_TEXT_WIDTH_MIN: usize = 24;
/// Names that are listed where one is not known and none is near.
pub const NAMES_SHOWN: usize = 20;
/// How long before a source became unreadable its last good poll is looked for.
pub const LAST_GOOD_POLL_SOUGHT: Duration = Duration::from_secs(3600);
/// Alerts of one rule on one day that are called noise where nothing else is said: one an hour is read by nobody.
pub const NOISY_ALERTS_A_DAY: usize = 24;
/// Runs that two rules must have told the same people of before that is called an overlap, and no accident.
pub const OVERLAP_TELLINGS_MIN: usize = 3;
/// The share of the less frequent rule's runs that the other one must have told of as well.
pub const OVERLAP_SHARE_PERCENT: usize = 50;

/// Connections that the page and the API hold at once; more are turned away with 503.
pub const WEB_CONNECTIONS_MAX: usize = 256;
/// Time for the head of a request, from its first byte or from the answer before it.
pub const WEB_HEAD_TIME_MAX: Duration = Duration::from_secs(10);
/// Time in which a connection must make some progress, reading or writing.
pub const WEB_IDLE_TIME_MAX: Duration = Duration::from_secs(30);
/// Longest life of a connection, however busy: who reads an answer byte by byte gives the place up in the end.
pub const WEB_CONNECTION_LIFE_MAX: Duration = Duration::from_secs(300);
/// Time for an answer, the body of the request included.
pub const WEB_REQUEST_TIME_MAX: Duration = Duration::from_secs(20);
/// Largest head of a request: a page's address with its cookies.
pub const WEB_HEAD_BYTES_MAX: usize = 16 << 10;
/// Largest body of a request: a silence with many patterns.
pub const WEB_BODY_BYTES_MAX: usize = 64 << 10;
/// Time that open connections get to finish when the program stops.
pub const WEB_STOP_TIME_MAX: Duration = Duration::from_secs(3);
/// After how long a browser without a script asks for the night anew.
pub const WEB_REFRESH_EVERY: Duration = Duration::from_secs(30);
/// How long a scrape waits for what the store has: whoever scrapes waits ten seconds as a rule, and is to hear the rest.
pub const WEB_SCRAPE_STORE_TIME_MAX: Duration = Duration::from_secs(5);
/// How long the answer to `/-/ready` is believed: a probe must not become a write to the store for each asker.
pub const WEB_READY_AGE_MAX: Duration = Duration::from_secs(2);
/// How long a sign-in lasts.
pub const WEB_SESSION_TIME: Duration = Duration::from_secs(14 * 24 * 3600);
/// Longest life of a token that ends by itself.
pub const TOKEN_TIME_MAX: Duration = Duration::from_secs(2 * 366 * 24 * 3600);
/// Fewest characters of a token's id that may stand for it.
pub const TOKEN_PREFIX_MIN: usize = 4;
/// How often systemd is told how Nightbell fares where it wants no watchdog.
pub const SUPERVISOR_EVERY: Duration = Duration::from_secs(10);

/// Rows of a list on a page.
pub const PAGE_ROWS: usize = 50;
/// Rows of a list of the API where nobody asks for a number.
pub const API_ROWS: usize = 100;
/// Most rows of one answer of the API.
pub const API_ROWS_MAX: usize = 500;
/// Actions of people that the status page shows.
pub const ACTIONS_SHOWN: usize = 20;
/// So many times a list is read on for a page of what a token for some labels may see; then the page is short.
pub const SCOPED_READS_MAX: usize = 10;
/// Alerts that fire which the night shows; of more, the newest.
pub const NIGHT_ALERTS_MAX: usize = 300;
/// Runs of one source, and open runs of all, that the night reads.
pub const NIGHT_RUNS_MAX: usize = 2000;
/// Jobs with alerts whose runs the night reads one job at a time.
pub const NIGHT_JOBS_READ_MAX: usize = 40;
/// Jobs whose earlier runs the night reads, to tell how long they usually take.
pub const NIGHT_USUAL_READ_MAX: usize = 100;
/// Runs of one job that the night shows.
pub const NIGHT_RUNS_OF_A_JOB_MAX: usize = 40;
/// Jobs of one kind (failing, running, the rest) that the night shows.
pub const NIGHT_ROWS_MAX: usize = 100;
/// Most times that a rule's schedule is drawn on one row of the night.
pub const NIGHT_DUES_MAX: usize = 24;
/// The longest span of the night that can be asked for, and the usual one, in hours.
pub const NIGHT_HOURS_MAX: i64 = 48;
/// See [`NIGHT_HOURS_MAX`].
pub const NIGHT_HOURS: i64 = 12;
/// Days of a job's calendar.
pub const CALENDAR_DAYS: i64 = 34;
/// Runs whose durations a job's chart shows.
pub const JOB_CHART_RUNS: usize = 60;
/// Silences that are over which the page shows.
pub const SILENCES_SHOWN_MAX: usize = 50;
/// Alerts that are looked at to say how many a silence would hit.
pub const SILENCE_PREVIEW_ALERTS_MAX: usize = 5000;
/// Of how many jobs alerts must have begun in that time for a silence that hits all of them to be one of everything.
pub const SILENCE_EVERYTHING_JOBS_MIN: usize = 3;
/// How far back those are looked for.
pub const SILENCE_PREVIEW_SPAN: Duration = Duration::from_secs(7 * 24 * 3600);

/// How long the link of a message may acknowledge its alert.
pub const ACK_LINK_TIME: Duration = Duration::from_secs(7 * 24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    /// Requests that a listing may spend and has no time for would be promised for nothing.
    #[test]
    fn what_a_listing_may_spend_fits_its_time() {
        let time = SOURCE_LISTING_TIME_MAX.as_secs_f64();
        let schedulerx = SCHEDULERX_LISTING_CALLS_MAX as f64 * 60.0 / SCHEDULERX_CALLS_PER_MINUTE as f64;
        assert!(schedulerx <= time, "SchedulerX: {schedulerx} s");
    }
}
