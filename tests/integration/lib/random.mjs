// Chance that is the same in every run: a small generator (mulberry32) with a seed.

/** {below(n), isOneIn(n), pick(list)}. */
export function startRandom(seed) {
  let state = seed >>> 0;
  const below = (n) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let z = Math.imul(state ^ (state >>> 15), state | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return ((z ^ (z >>> 14)) >>> 0) % n;
  };
  return { below, isOneIn: (n) => below(n) === 0, pick: (list) => list[below(list.length)] };
}
