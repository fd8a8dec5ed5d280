//! Shares on the command line.

/// A share such as `1%` or `0.01`, above 0 and up to 1.
pub fn share(text: &str) -> Result<f64, String> {
    let (number, scale) = match text.strip_suffix('%') {
        Some(percent) => (percent.trim_end(), 100.0),
        None => (text, 1.0),
    };
    let share = number
        .parse::<f64>()
        .map_err(|_| "expected a share such as 1% or 0.01".to_owned())?
        / scale;
    if share > 0.0 && share <= 1.0 {
        Ok(share)
    } else {
        Err("expected a share above 0 and up to 100%".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn shares_are_percentages_or_fractions() {
        assert_eq!(share("1%"), Ok(0.01));
        assert_eq!(share("0.5"), Ok(0.5));
        for wrong in ["", "%", "0", "200%", "-1%", "nan"] {
            assert!(share(wrong).is_err(), "{wrong}");
        }
    }
}
