// Rounds the decimal number, and ties to the even digit, like `decimal_text` of the other tables:
// 100 * 0.2335 is not exactly 23.35, and toFixed rounds ties up.

const decimal = (value, { factor, digits }, sign = "") => {
  if (value === null || value === undefined) return "–";
  const steps = factor * value * 10 ** digits;
  const below = Math.floor(steps);
  const isTie = Math.abs(steps - below - 0.5) < 1e-7; // numbers have six significant digits
  const whole = isTie ? below + Math.abs(below % 2) : Math.round(steps);
  const text = (whole / 10 ** digits).toFixed(digits);
  return whole > 0 ? sign + text : text;
};
