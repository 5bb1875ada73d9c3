import { checkData, type StoreFault, type StoreReport } from '../server/check-data.ts'
import { EXIT } from './exit-code.ts'
import { formatTable } from './table.ts'

export interface FsckFlags {
  readonly repair: boolean
  readonly json: boolean
}

/** Checks the store in a directory; returns the exit code. Throws `StartupError`. */
export async function fsck(directory: string, flags: FsckFlags): Promise<number> {
  const report = await checkData(directory, flags.repair)
  process.stdout.write(flags.json ? `${JSON.stringify(report, null, 2)}\n` : fsckText(report))
  const isSound = report.faults.every((fault) => fault.savedAs !== null)
  return isSound ? EXIT.DONE : EXIT.FAILED
}

/** The report for a person: what is there, what is damaged, what to do. */
function fsckText(report: StoreReport): string {
  const table = formatTable(
    [
      { title: 'log', value: (log) => log['name'] },
      { title: 'segments', value: (log) => log['segmentCount'], isNumber: true },
      { title: 'entries', value: (log) => log['entryCount'], isNumber: true },
      { title: 'bytes', value: (log) => log['bytes'], isNumber: true },
      { title: 'from offset', value: (log) => log['startOffset'], isNumber: true },
      { title: 'next offset', value: (log) => log['nextOffset'], isNumber: true },
    ],
    report.logs.map((log) => ({ ...log })),
  )
  const torn = report.tornEnds.map(
    (end) =>
      `torn end (never acknowledged, the next start cuts it): ${end.file} at ${end.position}\n`,
  )
  return table + torn.join('') + report.faults.map(faultText).join('') + verdict(report)
}

function faultText(fault: StoreFault): string {
  const place = `${fault.file} at ${fault.position}, ${fault.bytes} bytes: ${fault.reason}`
  const lost =
    fault.log === undefined || fault.lostFrom === undefined
      ? ''
      : `; log ${fault.log} loses offsets ${fault.lostFrom} to ${fault.lostTo ?? 'its end'}`
  const saved = fault.savedAs === null ? '' : `; kept as ${fault.savedAs}`
  return `damaged: ${place}${lost}${saved}\n`
}

function verdict(report: StoreReport): string {
  if (report.faults.length === 0) return `${report.directory}: no damage\n`
  if (report.faults.every((fault) => fault.savedAs !== null)) {
    return `${report.directory}: repaired; what was damaged is kept beside the logs\n`
  }
  return (
    `${report.directory}: damaged. 'waystation fsck ${report.directory} --repair' moves it aside,\n` +
    'so that a broker can open the rest; what stood there is lost to it.\n'
  )
}
