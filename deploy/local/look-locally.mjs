// Looks for a program that will do among those that the machine has. Plain JavaScript for Node >= 20.
//
// Fails: the environment variable names something unusable -> error at once, since the user asked for exactly that one.

/**
 * The first that will do; `tried` says why the ones before it will not.
 * @param {object} options
 * @param {string} options.variable of the environment: what it names comes before everything else
 * @param {{ path: string | undefined, label?: string }[]} options.places in their order; the label begins what is said of one
 * @param {string} options.absent what is said of a place that has none
 * @param {(path: string) => string} options.troubleWith '' when the program will do, otherwise what is wrong with it
 * @returns {{ path: string | undefined, tried: string[] }}
 */
export function lookLocally({ variable, places, absent, troubleWith }) {
  const tried = [];
  const given = process.env[variable];
  if (given) {
    const trouble = troubleWith(given);
    if (trouble !== '') throw new Error(`${variable}: ${trouble}`);
    return { path: given, tried };
  }
  for (const { path, label = '' } of places) {
    const trouble = path === undefined ? absent : troubleWith(path);
    if (trouble === '') return { path, tried };
    tried.push(`${label}${trouble}`);
  }
  return { path: undefined, tried };
}
