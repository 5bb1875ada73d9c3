/** More connections at once would only wait for the broker to accept them. */
const AT_ONCE = 50

/** Does `work` for every number from 0 to below `count`, some at a time. */
export async function inParallel(
  count: number,
  work: (index: number) => Promise<void>,
): Promise<void> {
  let next = 0
  const loop = async (): Promise<void> => {
    while (next < count) await work(next++)
  }
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, count) }, loop))
}
