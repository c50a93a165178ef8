import type { ColumnType } from 'kysely'
import type { AccountId } from '#schemas/ids.ts'

/** Kinds of columns: what is read, what an insert takes, what an update takes. account_id is always the transaction's account. */

export type Id<T> = ColumnType<T, T | undefined, never>
export type Account = ColumnType<AccountId, AccountId | undefined, never>
export type Time = ColumnType<Date, Date | undefined, Date>
export type Moment = ColumnType<Date | null, Date | null | undefined, Date | null>
export type Json<T> = ColumnType<T, string, string>

export type AccessState = 'active' | 'disabled'
