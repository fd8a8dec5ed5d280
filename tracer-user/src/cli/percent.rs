//! Shares of a CPU as the command line takes them.

/// Most CPUs that a share can stand for.
const MOST_CPUS: f64 = 1024.0;

/// A share of one CPU such as `1%` or `0.01`, above 0; `200%` are two CPUs.
pub fn share(text: &str) -> Result<f64, String> {
    let (number, scale) = match text.strip_suffix('%') {
        Some(percent) => (percent.trim_end(), 100.0),
        None => (text, 1.0),
    };
    let share = number
        .parse::<f64>()
        .map_err(|_| "expected a share such as 1% or 0.01".to_owned())?
        / scale;
    if share > 0.0 && share <= MOST_CPUS {
        Ok(share)
    } else {
        Err("expected a share above 0, of one CPU".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn shares_are_percentages_or_fractions() {
        assert_eq!(share("1%"), Ok(0.01));
        assert_eq!(share("0.5"), Ok(0.5));
        assert_eq!(share("200%"), Ok(2.0));
        for wrong in ["", "%", "0", "-1%", "nan", "inf"] {
            assert!(share(wrong).is_err(), "{wrong}");
        }
    }
}
