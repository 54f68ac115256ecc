import { root } from './api/client'

const server = root.href.replace(/\/$/, '')

/** The option of a command that names this server; empty for the default. */
export const serverFlag = server === 'http://127.0.0.1:7846' ? '' : ` --server ${server}`
