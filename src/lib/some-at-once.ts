/** Does `work` for each of `items`, for `count` of them side by side; rejects with the first error. */
export async function someAtOnce<T>(
  items: readonly T[],
  count: number,
  work: (item: T, index: number) => Promise<void>,
): Promise<void> {
  let next = 0
  const workSome = async (): Promise<void> => {
    while (next < items.length) {
      const index = next++
      await work(items[index]!, index)
    }
  }
  await Promise.all(Array.from({ length: Math.min(count, items.length) }, workSome))
}
