//! Drives the same functions without a fuzzer: random bytes, and the seeds with random changes. `FUZZ_SECONDS` says for how long.

use std::path::Path;
use std::time::{Duration, Instant};

use tidegate_fuzz::TARGETS;

/// xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn changed(&mut self, seed: &[u8]) -> Vec<u8> {
        let mut data = seed.to_vec();
        for _ in 0..=self.below(6) {
            let at = self.below(data.len() + 1);
            match self.below(5) {
                0 => data.truncate(at),
                1 => data.insert(at, self.next() as u8),
                2 => {
                    let tail = data[at..].to_vec();
                    data.extend(tail);
                }
                _ => {
                    if let Some(byte) = data.get_mut(at) {
                        *byte ^= 1 << self.below(8);
                    }
                }
            }
        }
        data
    }
}

#[test]
fn no_target_panics() {
    let seconds = std::env::var("FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    for (name, target) in TARGETS {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(name);
        let seeds: Vec<Vec<u8>> = std::fs::read_dir(seeds)
            .expect("the target has seeds")
            .map(|entry| std::fs::read(entry.expect("readable").path()).expect("readable"))
            .collect();
        seeds.iter().for_each(|seed| target(seed));
        let (begun, mut runs, mut random) = (Instant::now(), 0_u64, Random(0x9e37_79b9_7f4a_7c15));
        while begun.elapsed() < Duration::from_secs(seconds) {
            for _ in 0..1_000 {
                let seed = &seeds[random.below(seeds.len())];
                target(&random.changed(seed));
                let length = random.below(64);
                target(&(0..length).map(|_| random.next() as u8).collect::<Vec<_>>());
                runs += 2;
            }
        }
        println!("{name}: {runs} runs");
    }
}
