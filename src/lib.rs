//! Nightbell is the on-call bell for scheduled data jobs. It polls the job-instance lists of the schedulers a data
//! platform runs on, decides by YAML rules what people must hear about, and tells them once, in the right place, with
//! the failing node and its log path.
//!
//! # The way of the data
//!
//! ```text
//! source --page--> instances --diff--> transitions --rules--> alerts --> deliveries --notifier--> people
//!          poll loop                  (pure functions)                outbox       deliver loop
//! ```
//!
//! 1. [`config`] turns a YAML file into a checked configuration; every mistake in it is reported at once, with its
//!    place. It reads through [`yaml`], the located tree.
//! 2. [`worker::poll`] asks a [`source`] for the instances planned in a window, with what that proves to have been read.
//!    [`decide`] holds them against the memory, asks each [`rule`] what holds, and says which [`alert`]s begin, go on and
//!    end, and who is notified: one pure place, stage by stage.
//! 3. What follows is rendered by [`template`] and committed to the [`store`]: cursor, snapshots, alerts and outbox in
//!    **one transaction**. Whatever rewinds the database then costs a repeat, never a loss.
//! 4. [`worker::deliver`] has one lane per receiver. It claims what is due, lets [`notify`] make one attempt each, and
//!    records the outcomes in a second transaction. No transaction is open while a network call runs.
//! 5. Other loops look after what the store holds: [`worker::fallback`] tells somebody else what does not arrive,
//!    [`worker::escalation`] tells further people of what still fires, [`worker::remind`] tells a group again,
//!    [`worker::own`] watches Nightbell itself, and [`worker::heartbeat`] says to the outside that all of it works.
//! 6. When a [`digest`] is due, [`worker::digest`] sums up what the store holds of the period, which is then pending like any other
//!    message.
//! 7. [`worker::replay`] has [`decide`] judge a time that is past, or made up, without a store: backtests, and tests of rules.
//! 8. [`app`] wires all that and puts another configuration in force while it runs, [`cli`] is what a person calls, [`sim`] is a scheduler to try it on.
//!
//! # What holds everywhere
//!
//! - **Deciding is pure.** `decide`, `rule`, `alert`, `digest` and `template` take data and `now` and return data: no I/O, no clock, no
//!   async. The loops around them do the I/O, with [`clock`] and randomness injected.
//! - **At least once, and a repeat is recognisable.** Ids are digests of what they name and travel with the message.
//! - **Nothing is dropped silently.** Each alert ends as delivered, merged (into what), suppressed (by what) or dead
//!   (why).
//! - **What was not read is unknown**: never "all is well", never "it did not run", never the end of an alert.
//! - **Foreign text stays text**: names and log paths are escaped for where they go and choose no destination.
//! - **Secrets** live in [`secret`] and print as `<secret>`.
//!
//! # The direction of dependencies
//!
//! A module names only modules on lines below its own; a test holds this.
//!
//! ```text
//! main
//! cli                               one file per command
//! app                               wires the checked config into running loops
//! web                               pages, API, metrics, health: reads the store, does what people may do
//! desk                              what people ask and do, by command, page and API alike
//! worker                            poll, deliver and the other loops; replay
//! config                            YAML -> checked Config, with located diagnostics
//! source | store | notify | sim     the outside world; the store by role
//! decide                            pure: from what is known to what follows
//! iam                               proving to Huawei Cloud who asks
//! http                              the one way to make a request
//! rule | alert | digest | template  pure
//! words                             what messages say, in each language
//! yaml                              located tree, diagnostics, section reader
//! model                             plain data
//! clock | secret | limits | schedule | sign | metrics    leaves
//! coding | lock                     hex and percent coding; taking a lock
//! ```

pub mod alert;
pub mod app;
pub mod cli;
pub mod clock;
pub mod coding;
pub mod config;
pub mod decide;
pub mod desk;
pub mod digest;
pub mod http;
pub mod iam;
pub mod limits;
mod lock;
pub mod metrics;
pub mod model;
pub mod notify;
pub mod rule;
pub mod schedule;
pub mod secret;
pub mod sign;
pub mod sim;
pub mod source;
pub mod store;
pub mod template;
pub mod web;
pub mod words;
pub mod worker;
pub mod yaml;
