import { syncFile, writeFile } from '../../storage/disk.ts'
import type { Disk } from '../../storage/disk.ts'
import { encodeGroup } from '../../storage/entry-format.ts'
import { redoParts } from '../../storage/journal-writer.ts'
import type { StoredPart } from '../../storage/journal.ts'
import type { Run } from '../../storage/segment-check.ts'
import { saveAside } from '../../storage/segment-recovery.ts'
import {
  encodeSegmentHeader,
  indexPath,
  segmentHeaderBytes,
  segmentPath,
  segmentSalt,
} from '../../storage/segment.ts'
import type { LoadedSegment } from './check-store.ts'
import { logFolder } from './store-folder.ts'

/** Brings every whole record into the segments and moves the journal aside; returns where to. */
export async function repairJournal(
  disk: Disk,
  path: string,
  journal: { readonly bytes: Buffer; readonly parts: readonly StoredPart[] },
): Promise<string> {
  const savedAs = await saveAside(disk, path.replaceAll('/', '-'), journal.bytes)
  await redoParts(disk, journal.parts, logFolder)
  await disk.remove(path)
  await disk.syncFolder('journal')
  return savedAs
}

/**
 * Moves a damaged segment aside and writes what can be read of it anew: one segment for each run
 * of whole entries, so that only the offsets between them are missing. Returns where it went.
 */
export async function repairSegment(
  disk: Disk,
  segment: LoadedSegment,
  runs: readonly Run[],
): Promise<string> {
  const { path, bytes, baseOffset, logId, isLast } = segment
  const savedAs = await saveAside(disk, path.replaceAll('/', '-'), bytes)
  const folder = logFolder(logId)
  // Behind the last run first: if this is cut short, the next repair finds the damage again.
  const last = runs.at(-1)?.entries.at(-1)
  const reached = last === undefined ? baseOffset : last.baseOffset + last.count
  if (isLast && segment.knownOffset > reached) {
    // Offsets that were given out must not be given out again.
    await writeSegment(disk, { ...segment, baseOffset: segment.knownOffset }, null)
  }
  const [first, ...others] = runs[0]?.entries[0]?.baseOffset === baseOffset ? runs : [null, ...runs]
  for (const run of others.toReversed()) {
    if (run === null) continue
    await writeSegment(disk, { ...segment, baseOffset: run.entries[0]!.baseOffset }, run)
  }
  await disk.remove(indexPath(path))
  await writeSegment(disk, segment, first ?? null)
  await disk.syncFolder(folder)
  return savedAs
}

async function writeSegment(
  disk: Disk,
  target: { readonly logId: number; readonly name: string; readonly baseOffset: number },
  run: Run | null,
): Promise<void> {
  const { logId, name, baseOffset } = target
  const path = segmentPath(logFolder(logId), baseOffset)
  const position = segmentHeaderBytes(name)
  const place = {
    position,
    syncedBytes: position,
    salt: segmentSalt(logId, baseOffset),
    epoch: run?.epoch ?? 0,
    group: 0,
  }
  const buffers = run === null ? [] : encodeGroup(run.entries, place)
  const temporary = `${path}.new`
  const file = await disk.open(temporary, 'create')
  try {
    await writeFile(file, [encodeSegmentHeader({ logId, baseOffset, name }), ...buffers], 0)
    await syncFile(file)
  } finally {
    await file.close()
  }
  await disk.rename(temporary, path)
}
