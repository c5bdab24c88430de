//! The Airflow source: against a service that answers as Airflow does, and against a real one.

mod live;
mod night;
mod service;
