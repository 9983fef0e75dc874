//! Numbers that vary: a pure function of a seed and of what is drawn for, so that the same flags give the same world on
//! every machine. Good enough to make data, and for nothing else: noise comes from `shoal-anonymity`, pseudonyms come from
//! `shoal-privacy`.

/// One stream of draws.
pub(super) struct Draw {
    state: u64,
}

/// splitmix64's last step: every bit of the input changes about half of the output's.
pub(super) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

impl Draw {
    /// The stream of a subject; `of` tells its streams apart.
    pub(super) fn new(seed: u64, subject: u64, of: u64) -> Draw {
        Draw { state: mix(mix(mix(seed) ^ subject).wrapping_add(of.wrapping_mul(0x9e37_79b9_7f4a_7c15))) }
    }

    pub(super) fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// From 0 to `end`, without it.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.number() % end.max(1)
    }

    /// From 0 to 1.
    pub(super) fn share(&mut self) -> f64 {
        (self.number() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.share() < probability
    }

    /// The position that a share of the weights' sum falls on.
    pub(super) fn pick(&mut self, weights: &[u32]) -> usize {
        let sum: u32 = weights.iter().sum();
        let mut rest = self.below(u64::from(sum));
        for (at, weight) in weights.iter().enumerate() {
            match rest.checked_sub(u64::from(*weight)) {
                Some(less) => rest = less,
                None => return at,
            }
        }
        0
    }

    /// A standard normal number (Box and Muller).
    pub(super) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.share()).ln()).sqrt();
        radius * (2.0 * std::f64::consts::PI * self.share()).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_have_the_shape_they_say() {
        let mut draw = Draw::new(1, 2, 3);
        let normal: Vec<f64> = (0..20_000).map(|_| draw.normal()).collect();
        let mean = normal.iter().sum::<f64>() / 20_000.0;
        let variance = normal.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.05 && (variance - 1.0).abs() < 0.06, "{mean} {variance}");
        let mut picked = [0_u32; 3];
        (0..10_000).for_each(|_| picked[draw.pick(&[1, 0, 3])] += 1);
        assert!(picked[1] == 0 && (2_200..2_800).contains(&picked[0]), "{picked:?}");
        assert_ne!(Draw::new(1, 2, 3).number(), Draw::new(1, 2, 4).number());
    }
}
