// Where things go in a chart: moments across, numbers up. No drawing here.

const LETTER = 6; // Width of a letter of an axis label, in pixels.
const APART = 7; // Least space between two labels, in pixels.

/** Pixels for a moment (milliseconds since 1970), from left to right. */
export function across(start, stop, left, right) {
  const scale = (right - left) / (stop - start);
  return (moment) => left + (Math.min(Math.max(moment, start), stop) - start) * scale;
}

/** Pixels for a number, from bottom to top. */
export function upward(low, high, top, bottom) {
  const scale = (bottom - top) / (high - low);
  return (value) => bottom - (value - low) * scale;
}

/** Round numbers from at most `low` to at least `high`, about `most` of them. */
export function roundNumbers(low, high, most) {
  const wanted = Math.max(1, (high - low) / most);
  const power = 10 ** Math.floor(Math.log10(wanted));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= wanted);
  const numbers = [];
  for (let n = Math.floor(low / step); n <= Math.ceil(high / step); n += 1) {
    numbers.push(n * step);
  }
  return numbers;
}

/** The marks of the time axis that there is room for. */
export function fittingMarks(ticks, x) {
  const placed = ticks.marks.map((mark) => ({ ...mark, x: x(Date.parse(mark.at)) }));
  for (const every of ticks.every) {
    const kept = placed.filter((mark) => mark.unit % every === 0);
    if (kept.every((mark, i) => i === 0 || mark.x - kept[i - 1].x >= room(mark, kept[i - 1]))) {
      return kept;
    }
  }
  return placed.filter((mark) => mark.unit % ticks.every.at(-1) === 0 && mark.strong);
}

function room(one, other) {
  return ((one.label.length + other.label.length) / 2) * LETTER + APART;
}

/** The largest that any bucket has of the names given, at least `least`. */
export function largest(buckets, names, least) {
  return buckets.reduce(
    (most, bucket) => names.reduce((sofar, name) => Math.max(sofar, bucket[name] ?? 0), most),
    least,
  );
}
