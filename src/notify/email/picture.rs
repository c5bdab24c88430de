//! The pictures of a digest's mail: outcomes over time, and how long runs took against what is usual.
//!
//! Reads a digest's facts, gives PNG files; pure. They hold bars and digits and no other text: names stand beside them in
//! the mail itself, where every script draws as it should and can be selected. The ground is transparent and the
//! colours bear a light page and a dark one. Drawn at twice the size they are shown at, for sharp screens.

use crate::model::{ChartPart, DigestFacts, Outcomes, RunPart};

/// Runs of a list that get a picture: as many as the mail shows.
const BARS_MAX: usize = 10;

/// A colour, by its place in the palette.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ink {
    Ok = 1,
    Failed,
    Other,
    Axis,
    Band,
    Bar,
}

/// Red, green, blue of each ink, behind the transparent ground.
const PALETTE: [[u8; 3]; 7] = [
    [0, 0, 0],
    [0x2d, 0xa4, 0x4e],
    [0xe5, 0x53, 0x4b],
    [0x8b, 0x94, 0x9e],
    [0x8b, 0x94, 0x9e],
    [0xa8, 0xb3, 0xc0],
    [0x1f, 0x6f, 0xeb],
];
/// How much of each covers the ground: the usual range is a shade, so that both grounds show through.
const COVER: [u8; 7] = [0, 255, 255, 255, 255, 140, 255];

/// The pictures of a digest, as PNG files by the name that the mail's HTML calls them.
pub(super) fn pictures(facts: &DigestFacts) -> Vec<(String, Vec<u8>)> {
    let mut pictures = Vec::new();
    if facts.totals.outcomes.ended > 0 && !facts.chart.bars.is_empty() {
        pictures.push(("outcomes".to_string(), outcomes(&facts.chart)));
    }
    for (name, list) in [("long", &facts.running_long), ("slow", &facts.slowest)] {
        let drawn = list.shown.iter().take(BARS_MAX).enumerate();
        pictures.extend(drawn.filter_map(|(index, run)| Some((format!("{name}-{index}"), duration(run)?))));
    }
    pictures.into_iter().filter_map(|(name, canvas)| Some((name, canvas.png()?))).collect()
}

/// A field of pixels.
struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Canvas {
    fn new(width: usize, height: usize) -> Canvas {
        Canvas { width, height, pixels: vec![0; width * height] }
    }

    /// Fills a rectangle; what lies outside is cut.
    fn fill(&mut self, x: usize, y: usize, width: usize, height: usize, ink: Ink) {
        let (right, bottom) = ((x + width).min(self.width), (y + height).min(self.height));
        for row in y..bottom {
            if let Some(line) = self.pixels.get_mut(row * self.width + x.min(right)..row * self.width + right) {
                line.fill(ink as u8);
            }
        }
    }

    /// Writes digits, their upper left corner at the place; `size` pixels for each dot. Anything else is left blank.
    fn digits(&mut self, x: usize, y: usize, text: &str, size: usize) {
        for (index, digit) in text.chars().enumerate() {
            let Some(shape) = digit.to_digit(10).and_then(|digit| DIGITS.get(digit as usize)) else { continue };
            let left = x + index * 6 * size;
            for (row, dots) in shape.iter().enumerate() {
                for column in (0..5).filter(|column| dots >> (4 - column) & 1 == 1) {
                    self.fill(left + column * size, y + row * size, size, size, Ink::Axis);
                }
            }
        }
    }

    /// The PNG file, four bits a pixel.
    fn png(&self) -> Option<Vec<u8>> {
        let mut file = Vec::new();
        let (width, height) = (u32::try_from(self.width).ok()?, u32::try_from(self.height).ok()?);
        let mut encoder = png::Encoder::new(&mut file, width, height);
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_depth(png::BitDepth::Four);
        encoder.set_compression(png::Compression::High);
        encoder.set_palette(PALETTE.concat());
        encoder.set_trns(&COVER[..]);
        let packed: Vec<u8> = self
            .pixels
            .chunks(self.width)
            .flat_map(|line| line.chunks(2).map(|two| two[0] << 4 | two.get(1).copied().unwrap_or(0)))
            .collect();
        let mut writer = encoder.write_header().ok()?;
        writer.write_image_data(&packed).ok()?;
        writer.finish().ok()?;
        Some(file)
    }
}

/// How many pixels a bar of the chart is high at most, and where its foot is.
const CHART_HEIGHT: usize = 170;
const CHART_FOOT: usize = 204;
const CHART_WIDTH: usize = 1104;

/// Outcomes over time: a stack for each hour or day, failures on top, where they are seen.
fn outcomes(chart: &ChartPart) -> Canvas {
    let mut canvas = Canvas::new(CHART_WIDTH, 240);
    let most = chart.bars.iter().map(|bar| bar.outcomes.ended).max().unwrap_or(0).max(1);
    let step = CHART_WIDTH / chart.bars.len().max(1);
    let width = (step * 7 / 10).clamp(2, 60);
    for (index, bar) in chart.bars.iter().enumerate() {
        let x = index * step + (step - width) / 2;
        let Outcomes { ok, failed, other, .. } = bar.outcomes;
        let mut foot = CHART_FOOT;
        for (count, ink) in [(ok, Ink::Ok), (other, Ink::Other), (failed, Ink::Failed)] {
            // One failure among a thousand runs is what the picture is looked at for.
            let least = if count > 0 { 6 } else { 0 };
            let height = scaled(count, most, CHART_HEIGHT).max(least);
            foot = foot.saturating_sub(height);
            canvas.fill(x, foot, width, height, ink);
        }
        if index % label_every(chart) == 0 {
            canvas.digits(x + width / 2 - (width / 2).min(17), CHART_FOOT + 11, &bar.label, 3);
        }
    }
    canvas.fill(0, CHART_FOOT, CHART_WIDTH, 2, Ink::Axis);
    canvas.digits(0, 0, &most.to_string(), 3);
    canvas
}

fn label_every(chart: &ChartPart) -> usize {
    match chart.bars.len() {
        0..=12 => 1,
        13..=30 => 3,
        _ => 6,
    }
}

/// How long a run took: a bar over the usual range. None when nothing usual is known.
fn duration(run: &RunPart) -> Option<Canvas> {
    let usual = run.usual?;
    let mut canvas = Canvas::new(640, 28);
    let most = run.duration_ms.max(usual.to_ms).max(1);
    let place = |milliseconds: u64| scaled(milliseconds, most, 636);
    let (from, to) = (place(usual.from_ms), place(usual.to_ms));
    canvas.fill(from, 0, (to - from.min(to)).max(4), 28, Ink::Band);
    let is_long = run.duration_ms > usual.to_ms.saturating_add(usual.to_ms / 2);
    canvas.fill(0, 9, place(run.duration_ms).max(4), 10, if is_long { Ink::Failed } else { Ink::Bar });
    Some(canvas)
}

/// `count` as a part of `most`, on a scale of `length` pixels.
fn scaled(count: u64, most: u64, length: usize) -> usize {
    (count as f64 / most as f64 * length as f64).round().min(length as f64) as usize
}

/// Digits of five by seven dots, a row in five bits.
const DIGITS: [[u8; 7]; 10] = [
    [0b01110, 0b10001, 0b10011, 0b10101, 0b11001, 0b10001, 0b01110],
    [0b00100, 0b01100, 0b00100, 0b00100, 0b00100, 0b00100, 0b01110],
    [0b01110, 0b10001, 0b00001, 0b00010, 0b00100, 0b01000, 0b11111],
    [0b11111, 0b00010, 0b00100, 0b00010, 0b00001, 0b10001, 0b01110],
    [0b00010, 0b00110, 0b01010, 0b10010, 0b11111, 0b00010, 0b00010],
    [0b11111, 0b10000, 0b11110, 0b00001, 0b00001, 0b10001, 0b01110],
    [0b00110, 0b01000, 0b10000, 0b11110, 0b10001, 0b10001, 0b01110],
    [0b11111, 0b00001, 0b00010, 0b00100, 0b01000, 0b01000, 0b01000],
    [0b01110, 0b10001, 0b10001, 0b01110, 0b10001, 0b10001, 0b01110],
    [0b01110, 0b10001, 0b10001, 0b01111, 0b00001, 0b00010, 0b01100],
];

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::template::{digest_samples, sample_digest};

    fn facts() -> DigestFacts {
        sample_digest(Timestamp::UNIX_EPOCH).digest().expect("a digest").clone()
    }

    fn decoded(file: &[u8]) -> (u32, u32, Vec<u8>) {
        let mut decoder = png::Decoder::new(std::io::Cursor::new(file));
        decoder.set_transformations(png::Transformations::EXPAND);
        let mut reader = decoder.read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        (info.width, info.height, pixels)
    }

    #[test]
    fn pictures_are_small_and_can_be_read() {
        for (name, message) in digest_samples() {
            let pictures = pictures(message.digest().unwrap());
            let bytes: usize = pictures.iter().map(|(_, file)| file.len()).sum();
            assert!(bytes < 30_000, "{name}: {bytes} bytes");
            for (picture, file) in pictures {
                let (width, height, pixels) = decoded(&file);
                assert!(width > 0 && height > 0, "{picture}");
                assert!(pixels.chunks(4).any(|pixel| pixel[3] == 0), "{picture} has no transparent ground");
                assert!(pixels.chunks(4).any(|pixel| pixel[3] != 0), "{picture} is empty");
            }
        }
        let names: Vec<String> = pictures(&facts()).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["outcomes", "long-0", "slow-0", "slow-1", "slow-2"]);
    }

    #[test]
    fn a_single_failure_among_thousands_is_seen() {
        let mut chart = facts().chart;
        for bar in &mut chart.bars {
            bar.outcomes = Outcomes { ended: 5000, ok: 5000, failed: 0, other: 0 };
        }
        assert!(!outcomes(&chart).pixels.contains(&(Ink::Failed as u8)));
        chart.bars[7].outcomes = Outcomes { ended: 5000, ok: 4999, failed: 1, other: 0 };
        let red = outcomes(&chart).pixels.iter().filter(|ink| **ink == Ink::Failed as u8).count();
        assert!(red > 50, "{red} pixels");
    }
}
