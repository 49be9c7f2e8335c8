// The table: a median for each figure, from the lowest to the highest of several rounds, and how many times as much it is.
const kilobytes = (x) => (x / 1024).toFixed(2);
const figures = (rates) => [
  ['memory a connection, KB', 'memory', kilobytes],
  ['the same after all those events, KB', 'memoryAfterEvents', kilobytes],
  ['minutes of events that all send in turn', 'soakMinutes', String],
  ['memory a connection after some, KB', 'soakSettled', kilobytes],
  ['that was after so many minutes', 'soakFrom', String],
  ['half way, KB', 'soakMiddle', kilobytes],
  ['at the end, KB', 'soakEnd', kilobytes],
  ['the most of each minute, KB', 'soakMost', kilobytes],
  ['growth from the first of these to the end, %', 'soakGrowth', (x) => x.toFixed(1)],
  ['events sent', 'soakSent', String],
  ['events received', 'soakReceived', String],
  ['events missing', 'soakMissing', String],
  ['p50, us', 'soakP50', String],
  ['p99, us', 'soakP99', String],
  ['worst, us', 'soakWorst', String],
  ['the same after a storm, KB', 'memoryAfterStorm', kilobytes],
  ['left of it when all have gone, KB', 'memoryLeft', kilobytes],
  ['sockets a connection', 'sockets', (x) => x.toFixed(2)],
  ['requests to connect and list', 'requests', (x) => x.toFixed(1)],
  ['connects a second, listening and listed', 'connects', (x) => x.toFixed(0)],
  ['processor, idle, % of a core', 'idle', (x) => x.toFixed(1)],
  ['at 1,000 events/s: p50, us', 'p50', String],
  ['p99, us', 'p99', String],
  ['p99.9, us', 'p999', String],
  ['lost', 'lost', String],
  ...rates.flatMap((rate) => [
    [`at ${rate.toLocaleString('en')} events/s: p50, us`, `p50at${rate}`, String],
    ['p99, us', `p99at${rate}`, String],
  ]),
  ['highest of these rates without loss and p99 < 50 ms', 'most', String],
  ['all dropped at once: all listening again after, s', 'back', (x) => x.toFixed(1)],
];

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
const valuesOf = (results, key) => results.map((result) => result[key]).filter((value) => Number.isFinite(value));

function cell(results, key, format) {
  const values = valuesOf(results, key);
  if (values.length === 0) return '-';
  const spread = values.length > 1 ? ` (${format(Math.min(...values))}-${format(Math.max(...values))})` : '';
  const missing = values.length < results.length ? `, ${values.length} of ${results.length} rounds` : '';
  return format(median(values)) + spread + missing;
}

/** Of the second subject over the first. */
function ratio([first, second], key) {
  const [a, b] = [first, second].map((results) => (results ? median(valuesOf(results, key)) : undefined));
  return a > 0 && b > 0 ? (b / a).toPrecision(2) : '';
}

export function print(title, results, rates) {
  const names = Object.keys(results);
  const columns = names.length === 2 ? [...names, `${names[1]} / ${names[0]}`] : names;
  console.log(`${title}\n\n| | ${columns.join(' | ')} |\n| --- |${columns.map(() => ' --- |').join('')}`);
  for (const [text, key, format] of figures(rates)) {
    if (names.every((name) => valuesOf(results[name], key).length === 0)) continue;
    const cells = names.map((name) => cell(results[name], key, format));
    if (names.length === 2) cells.push(ratio(Object.values(results), key));
    console.log(`| ${text} | ${cells.join(' | ')} |`);
  }
  console.log('');
}
