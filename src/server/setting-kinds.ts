import { z } from 'zod'
import { LISTEN_ADDRESS_FORM, parseListenAddress, type ListenAddress } from './listen-address.ts'
import type { PortSpec } from './protocol-ports.ts'
import {
  formatDuration,
  formatSize,
  parseDurationMs,
  parsePart,
  parseSize,
  parseWatermark,
} from './quantity.ts'

/** What a setting may be, for those who read about it. */
export interface SettingKind {
  /** With the unit of a bare number, where there is one. */
  readonly type: string
  /** Absent: there are none. */
  readonly limits: string
}

/**
 * Each setting's description is what a good value is, as a phrase that fits behind 'expected':
 * messages about wrong values, `waystation settings` and the configuration reference all use it.
 *
 * Numbers and switches are also read from text, because that is what environment and flags bring.
 */
const scalar = z.union([z.string(), z.number(), z.boolean()])
const quantity = z.union([z.string(), z.number()])

export function text(expected: string): z.ZodString {
  return z.string().min(1).meta({ description: expected, type: 'text' })
}

/** A relative path in a file is taken from where that file is. */
export function file(expected: string): z.ZodString {
  return z.string().min(1).meta({ description: expected, type: 'path' })
}

export function sizeBytes(min: number, max: number, expected: string): z.ZodType<number> {
  const limits = `${formatSize(min)} to ${formatSize(max)}`
  return quantity
    .transform((value, context) => parseSize(value) ?? refuse(context))
    .refine((bytes) => bytes >= min && bytes <= max)
    .meta({ description: expected, type: 'size (bytes)', limits })
}

export function durationMs(min: number, max: number, expected: string): z.ZodType<number> {
  const limits = `${formatDuration(min)} to ${formatDuration(max)}`
  return quantity
    .transform((value, context) => parseDurationMs(value) ?? refuse(context))
    .refine((ms) => ms >= min && ms <= max)
    .meta({ description: expected, type: 'duration (ms)', limits })
}

export function integer(min: number, max: number): z.ZodType<number> {
  return quantity
    .transform((value, context) => {
      return /^\d+$/.test(String(value)) ? Number(value) : refuse(context)
    })
    .refine((count) => count >= min && count <= max)
    .meta({
      description: `a whole number from ${min} to ${max}`,
      type: 'number',
      limits: `${min} to ${max}`,
    })
}

/** A part of a whole. */
export function part(): z.ZodType<number> {
  return quantity
    .transform((value, context) => parsePart(value) ?? refuse(context))
    .meta({
      description: "a part above 0 and up to 1, or of a hundred such as '1%'",
      type: 'part',
      limits: 'above 0, up to 1 or 100%',
    })
}

/** A part of what there is, or a size of its own. */
export function watermark(expected: string): z.ZodType<number> {
  return quantity
    .transform((value, context) => parseWatermark(value) ?? refuse(context))
    .meta({ description: expected, type: 'part or size', limits: '0 to 1, or a size' })
}

/** A list, or text with commas where there are no lists. */
export function texts(expected: string): z.ZodType<readonly string[]> {
  return z
    .union([z.string(), z.array(z.string())])
    .transform((value) => {
      const parts = typeof value === 'string' ? value.split(',') : value
      return parts.map((one) => one.trim()).filter((one) => one !== '')
    })
    .meta({ description: expected, type: 'list' })
}

export function oneOf<const Value extends string>(
  values: readonly [Value, ...Value[]],
): z.ZodType<Value> {
  const quoted = values.map((value) => `'${value}'`)
  const last = quoted.at(-1) ?? ''
  return z.enum(values).meta({
    description: `${quoted.slice(0, -1).join(', ')} or ${last}`,
    type: 'one of',
    limits: values.join(', '),
  })
}

export function flag(): z.ZodType<boolean> {
  return z
    .union([z.boolean(), z.enum(['true', 'false'])])
    .transform((value) => value === true || value === 'true')
    .meta({ description: "'true' or 'false'", type: 'true or false' })
}

export function address(port: PortSpec): z.ZodType<ListenAddress | null> {
  if (!port.available) {
    return scalar
      .refine((value) => parseListenAddress(value) === null)
      .transform(() => null)
      .meta({
        description: `'off', because this version does not speak ${port.title}`,
        type: 'address',
        limits: 'off',
      })
  }
  return scalar
    .transform((value, context) => {
      const parsed = parseListenAddress(value)
      return parsed === undefined ? refuse(context) : parsed
    })
    .meta({ description: LISTEN_ADDRESS_FORM, type: 'address', limits: 'port 0 to 65535' })
}

function refuse(context: z.RefinementCtx): never {
  context.addIssue({ code: 'custom' })
  return z.NEVER
}
