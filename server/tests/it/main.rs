//! What Shoal promises, tested from outside: over HTTP, on the files, through the real binary and through real SDKs. One
//! binary for all, because each links the whole of DataFusion.
//!
//! | module | promise |
//! |---|---|
//! | `smoke` | one event's whole life; what each endpoint says to those who may not pass |
//! | `protocols`, `sdk` | each event of each protocol is found once, in the right region and kind |
//! | `canary` | no identifier is kept, logged, counted or answered, in no form |
//! | `consent` | no event without a consent that is in force |
//! | `withdrawal_forms` | a withdrawal is understood in whatever list, form and spelling it comes, and no file of them is forgotten |
//! | `opted_in` | whoever holds an app's key learns nothing of who has opted in |
//! | `key_file` | without the key file that the data were made with nothing starts |
//! | `custody` | a key file in custody is read with its custody alone, and goes in and out without a loss |
//! | `alone` | the service opens no connection to another machine |
//! | `closed` | files are for the service's account alone, and its memory is in none |
//! | `regions` | two regions never share a directory, and pseudonyms cannot be joined |
//! | `damage` | a bit that flips in any file is found, or changes nothing |
//! | `durability` | what was acknowledged is there once, whatever happens to the process |
//! | `faults`, `table_faults` | a disk that fails ends the service, and one that is full does not; neither loses anything |
//! | `day_limit` | one subject's day has a limit, which nothing renews |
//! | `units` | events that name nobody are one person's for each network, app and day |
//! | `texts` | what identifies is in no text and no path, and looking for it keeps nobody waiting |
//! | `senders` | what was sent is visible to who sent it and to the key's owner, and to nobody else |
//! | `key_commands` | the commands for keys say what a key takes, what comes with it and when it was used |
//! | `hostile` | nothing that is sent breaks the service |
//! | `signals` | a changed configuration is taken over while it runs, and a start can be ended |
//! | `reload` | definitions are read again under load, and nothing is lost, refused or half taken over |
//! | `strangers` | whoever has no key holds nothing |
//! | `described` | every answer is one that the OpenAPI description has, with its schema |
//! | `problems` | every refusal is a problem document, and repeats nothing of the request |
//! | `attacks` | two services that differ in one subject answer alike |
//! | `query` | answers are aggregates with error bars; small groups are not shown |
//! | `defaults` | the largest everyday questions are answered with the settings that ship |
//! | `ledger` | what was answered is paid once, for ever, and everybody sees it |
//! | `restore` | nothing that is put back or taken away brings budget back |
//! | `audit` | every question and every act on a key is written down, unchangeably; a query can be cancelled |
//! | `retention` | expired days cannot be read, and then they are gone |
//! | `delta` | others can read the tables, by a copy in the clear |
//! | `table_copies` | a copy in the clear has what the tables hold, is made on purpose alone, and is in the audit |
//! | `sealed` | what lies in the data directory says nothing without its keys, and a key that is destroyed takes its day with it |
//! | `worker` | the process of postprocessing SQL is ready at once and ends with its parent |
//! | `configuration` | everything that is wrong with a configuration is told at once, and nothing starts with it |
//! | `earlier` | a data directory of an earlier version is served like this version's own |
//! | `first_minutes` | the demo's lines and the README's work as they are printed |
//! | `catalogue` | whoever wants to send events finds what can be sent, and what was misspelt |
//! | `documents` | every command of the documents runs as it stands, or parses where it builds |
//! | `commands` | the command line and the definitions of an operator's own |
//! | `kept_once` | nothing is lost or doubled for the sake of an id, a clock or one bad value |
//! | `broken` | what is wrong with a batch costs what is wrong, and a retry is known whatever is stamped on it |
//! | `endpoints` | apps get in with a key in the address, in any encoding, and past proxies |
//! | `operators` | an operator sees what a service does and what is wrong with a machine; nobody else does |
//! | `backup` | a backup holds what was in at its moment, and brings back neither budget nor consent |
//! | `backup_broken` | a backup or a restore that breaks off anywhere leaves what was there before, and can be begun again |
//! | `deploy` | dashboards and alerts name what is shown, and the binary tells its own health |
//! | `bucket` | tables can lie in a bucket, and whatever the store does nothing is lost or doubled |
//! | `compaction` | many small files become few, and nothing else changes |
//!
//! `stage` runs a service in this process with a clock that the test moves, `process` the real binary; `http` speaks to
//! both; `tables` reads what they wrote, by a copy in the clear, with other programs; `search` and `marks` are for the canary.
#![allow(clippy::unwrap_used)]

mod access;
mod alone;
mod attacks;
mod audit;
mod backup;
mod backup_broken;
mod broken;
mod bucket;
mod canary;
mod catalogue;
mod closed;
mod commands;
mod compaction;
mod configuration;
mod consent;
mod consent_query;
mod custody;
mod damage;
mod day_limit;
mod defaults;
mod delta;
mod deploy;
mod described;
mod documents;
mod durability;
mod earlier;
mod endpoints;
mod erasure;
mod faults;
mod first_minutes;
mod hostile;
mod http;
mod kept_once;
mod key_commands;
mod key_file;
mod ledger;
mod marks;
mod meant;
mod operators;
mod opted_in;
mod overload;
mod problems;
mod process;
mod protocols;
#[allow(dead_code)]
#[path = "../../../files/tests/s3/proxy.rs"]
mod proxy;
mod query;
mod receipts;
mod regions;
mod reload;
mod restore;
mod restriction;
mod retention;
mod roles;
mod sdk;
mod sealed;
mod search;
mod senders;
#[allow(dead_code)]
#[path = "../../../files/tests/s3/servers.rs"]
mod servers;
mod signals;
mod smoke;
mod stage;
mod stored_keys;
mod strangers;
mod table_copies;
mod table_faults;
mod tables;
mod texts;
mod units;
mod withdrawal;
mod withdrawal_forms;
mod worker;
