//! The result over all positions.

use serde::Serialize;

use super::position::Position;

/// How close a run is to its reference, over all positions of a text.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Fidelity {
    /// Positions compared.
    pub positions: usize,
    /// Mean of `KL(reference || run)` in nats per position.
    pub mean_kl: f64,
    /// 99th percentile of the divergence, in nats.
    pub p99_kl: f64,
    /// The largest divergence, in nats.
    pub max_kl: f64,
    /// Share of positions at which both have the same most likely token, 0 to 1.
    pub top1_agreement: f64,
    /// Root mean square of the difference of the logits, divided by that of the reference's logits. The mean of each
    /// row is subtracted first.
    pub logit_error: f64,
    /// Perplexity of the text for the run; infinite if no token follows another.
    pub perplexity: f64,
    /// Perplexity of the text for the reference.
    pub reference_perplexity: f64,
}

impl Fidelity {
    pub(super) fn of(positions: &[Position]) -> Self {
        let count = positions.len() as f64;
        let sum = |value: fn(&Position) -> f64| positions.iter().map(value).sum::<f64>();
        let mut sorted: Vec<_> = positions.iter().map(|position| position.kl).collect();
        sorted.sort_by(f64::total_cmp);
        let quantile = |share: f64| {
            sorted.get(((share * count).ceil() as usize).saturating_sub(1)).copied().unwrap_or(f64::NAN)
        };
        let surprises: Vec<_> = positions.iter().filter_map(|position| position.surprise).collect();
        let perplexity = |which: usize| {
            (surprises.iter().map(|pair| pair[which]).sum::<f64>() / surprises.len() as f64).exp()
        };
        Self {
            positions: positions.len(),
            mean_kl: sum(|position| position.kl) / count,
            p99_kl: quantile(0.99),
            max_kl: quantile(1.0),
            top1_agreement: sum(|position| f64::from(u8::from(position.same_top))) / count,
            logit_error: (sum(|position| position.error) / sum(|position| position.power)).sqrt(),
            perplexity: perplexity(0),
            reference_perplexity: perplexity(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_quantiles_and_perplexities_are_those_of_the_positions() {
        let position = |kl, surprise| Position { kl, same_top: kl < 50.0, error: 1.0, power: 4.0, surprise };
        let mut positions: Vec<_> = (1..=100).map(|kl| position(f64::from(kl), Some([1.0, 2.0]))).collect();
        positions.push(position(101.0, None));
        let report = Fidelity::of(&positions);
        assert_eq!(
            (report.positions, report.mean_kl, report.p99_kl, report.max_kl),
            (101, 51.0, 100.0, 101.0)
        );
        assert_eq!((report.top1_agreement, report.logit_error), (49.0 / 101.0, 0.5));
        assert!((report.perplexity - 1f64.exp()).abs() < 1e-12);
        assert!((report.reference_perplexity - 2f64.exp()).abs() < 1e-12);
    }
}
