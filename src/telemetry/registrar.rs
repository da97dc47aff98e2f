//! Makes metrics and registers them: each has one place in the program.

use prometheus::core::Collector;
use prometheus::{
    Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, Result,
};

/// A registry that metrics are made in.
#[derive(Default)]
pub(super) struct Registrar(Registry);

/// A label and those of its values that are known from the start. Their series are shown at
/// zero: a counter that appears with its first increment hides that increment from `rate` and
/// `increase`.
pub(super) type Label<'a> = (&'a str, &'a [&'a str]);

/// Methods for constant names, which fail for none of them.
impl Registrar {
    /// With a prefix for every name.
    pub(super) fn new(prefix: &str) -> Result<Self> {
        Registry::new_custom(Some(prefix.into()), None).map(Self)
    }

    pub(super) fn into_registry(self) -> Registry {
        self.0
    }

    pub(super) fn counter(&self, name: &str, help: &str) -> Result<IntCounter> {
        self.keep(IntCounter::new(name, help)?)
    }

    pub(super) fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[Label<'_>],
    ) -> Result<IntCounterVec> {
        let counters = self.keep(IntCounterVec::new(Opts::new(name, help), &names(labels))?)?;
        for values in combinations(labels) {
            counters.with_label_values(&values);
        }
        Ok(counters)
    }

    pub(super) fn gauge(&self, name: &str, help: &str) -> Result<IntGauge> {
        self.keep(IntGauge::new(name, help)?)
    }

    pub(super) fn float_gauge(&self, name: &str, help: &str) -> Result<Gauge> {
        self.keep(Gauge::new(name, help)?)
    }

    pub(super) fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec> {
        self.keep(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    pub(super) fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Result<Histogram> {
        self.keep(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))?)
    }

    pub(super) fn histograms(
        &self,
        name: &str,
        help: &str,
        buckets: &[f64],
        labels: &[Label<'_>],
    ) -> Result<HistogramVec> {
        let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        let histograms = self.keep(HistogramVec::new(options, &names(labels))?)?;
        for values in combinations(labels) {
            histograms.with_label_values(&values);
        }
        Ok(histograms)
    }

    pub(super) fn keep<C: Collector + Clone + 'static>(&self, collector: C) -> Result<C> {
        self.0.register(Box::new(collector.clone()))?;
        Ok(collector)
    }
}

fn names<'a>(labels: &[Label<'a>]) -> Vec<&'a str> {
    labels.iter().map(|(name, _)| *name).collect()
}

/// Every combination of known values; none where a label has no known ones.
fn combinations<'a>(labels: &[Label<'a>]) -> Vec<Vec<&'a str>> {
    labels.iter().fold(vec![Vec::new()], |found, (_, values)| {
        let with = |before: &Vec<&'a str>| {
            let before = before.clone();
            values.iter().map(move |value| [before.as_slice(), &[*value]].concat())
        };
        found.iter().flat_map(with).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_series_are_shown_at_zero_and_others_when_they_come() {
        let registrar = Registrar::new("t").unwrap();
        let sets: [Label<'_>; 2] = [("a", &["1", "2"]), ("b", &["x", "y"])];
        registrar.counters("known", "k", &sets).unwrap();
        let open = registrar.counters("open", "o", &[("a", &["1"]), ("caller", &[])]).unwrap();
        assert!(registrar.counter("open", "o").is_err(), "a name is taken once");
        let series = |registry: &Registry| -> Vec<(String, usize)> {
            let all = registry.gather();
            all.iter().map(|family| (family.name().to_owned(), family.get_metric().len())).collect()
        };
        let registry = registrar.into_registry();
        assert_eq!(series(&registry), [("t_known".to_owned(), 4)]);
        open.with_label_values(&["1", "desk"]).inc();
        assert_eq!(series(&registry), [("t_known".to_owned(), 4), ("t_open".to_owned(), 1)]);
    }
}
