//! What every command that makes runs takes: how long one may take, and what its worker does wrong in tests.

use std::time::Duration;

use clap::Args;

use super::Stop;
use crate::worker::{Crew, Launcher, Sabotage};

/// What bounds a run from outside.
#[derive(Clone, Debug, Args)]
pub struct Limits {
    /// Seconds of real time after which a run is stopped as one that never ends
    #[arg(long, value_name = "S", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds_max: u64,
    #[command(flatten)]
    sabotage: Sabotage,
}

impl Limits {
    /// So many workers, or as many as there are processors.
    pub fn crew(&self, jobs: Option<u16>) -> Result<Crew, Stop> {
        let processors = || std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Crew { launcher: self.launcher()?, jobs: jobs.map_or_else(processors, usize::from) })
    }

    /// How workers are started.
    pub fn launcher(&self) -> Result<Launcher, Stop> {
        let launcher = Launcher::this_program(Duration::from_secs(self.seconds_max), self.sabotage.clone());
        launcher.map_err(|error| Stop::usage(format!("this program does not find itself: {error}")))
    }
}
