//! A target as the recorder sees it: where its keys may be.

use crate::invalidate::rings::RingHistory;
use crate::invalidate::settings::Target;
use crate::invalidate::target::TargetRoutes;

/// A target, with its rings and its upstreams.
pub(super) struct RoutedTarget {
    pub(super) routes: TargetRoutes,
    /// The number of each of its servers among the upstreams.
    pub(super) numbers: Vec<usize>,
    pub(super) rings: RingHistory,
}

impl RoutedTarget {
    pub(super) fn new(target: Target, rings: RingHistory) -> RoutedTarget {
        RoutedTarget {
            routes: TargetRoutes::new(target, &rings),
            numbers: Vec::new(),
            rings,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.routes.target.name
    }

    /// Routes by other rings.
    pub(super) fn adopt(&mut self, rings: RingHistory) {
        self.routes = TargetRoutes::new(self.routes.target.clone(), &rings);
        self.rings = rings;
    }
}
