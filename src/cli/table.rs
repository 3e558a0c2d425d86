//! Plain text tables and numbers for people.

/// Rows under a head, columns as wide as their widest cell.
#[derive(Debug)]
pub struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A head that begins with `<` is of a column aligned left; numbers are aligned right.
    pub fn new(head: &[&'static str]) -> Table {
        Table { head: head.to_vec(), rows: Vec::new() }
    }

    /// As many cells as the head has.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        debug_assert_eq!(cells.len(), self.head.len());
        self.rows.push(cells.into());
    }

    /// The lines, without trailing blanks.
    pub fn render(&self) -> String {
        let titles: Vec<String> = self.head.iter().map(|title| title.trim_start_matches('<').to_owned()).collect();
        let width = |column: usize| {
            let cells = self.rows.iter().chain([&titles]).filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..self.head.len()).map(width).collect();
        let mut text = String::new();
        for row in [&titles].into_iter().chain(&self.rows) {
            let cells = row.iter().zip(&widths).zip(&self.head).map(|((cell, &width), head)| {
                if head.starts_with('<') { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            });
            let line = cells.collect::<Vec<_>>().join("  ");
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// `1234567` as `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes in the largest unit that leaves a number of at least one: `1.5 MiB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A part of a whole: `33 %`, and `-` of nothing.
pub fn share(part: u64, whole: u64) -> String {
    if whole == 0 { "-".to_owned() } else { format!("{:.0} %", part as f64 * 100.0 / whole as f64) }
}

/// Seconds as a person says them: `3d 4h`, `2m 5s`.
pub fn ago(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h {}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&["<NAME", "COUNT", "<NOTE"]);
        table.row(["a".into(), "1".into(), "x".into()]);
        table.row(["längst".into(), "1,000".into(), String::new()]);
        assert_eq!(table.render(), "NAME    COUNT  NOTE\na           1  x\nlängst  1,000\n");
    }

    #[test]
    fn numbers_are_readable() {
        let table = [(0, "0", "0 B"), (999, "999", "999 B"), (1000, "1,000", "1000 B"), (1536, "1,536", "1.5 KiB")];
        for (number, with_groups, with_unit) in table {
            assert_eq!((grouped(number).as_str(), bytes(number).as_str()), (with_groups, with_unit));
        }
        assert_eq!(grouped(u64::MAX), "18,446,744,073,709,551,615");
        assert_eq!(bytes(u64::MAX), "16.0 EiB");
        assert_eq!((share(1, 3), share(0, 0)), ("33 %".to_owned(), "-".to_owned()));
        let times = [(59, "59s"), (125, "2m 5s"), (3600, "1h 0m"), (90_000, "1d 1h")];
        times.iter().for_each(|(seconds, text)| assert_eq!(ago(*seconds), *text));
    }
}
