// One call through the JavaScript SDK; prints what the SDK made of it as JSON.
// It is copied beside the SDK that it imports: some have no way in for `require`.
import {
  SeamHttp,
  isSeamHttpApiError,
  isSeamHttpInvalidInputError,
  isSeamHttpUnauthorizedError,
} from '@seamapi/http'

const [call, json] = process.argv.slice(2)
const fields = JSON.parse(json)
const { CONSOLE_SESSION_TOKEN: session, SEAM_WORKSPACE_ID: workspace } = process.env
// Of the three ways in, this is the one that the SDK does not take from the environment.
const seam = session == null ? new SeamHttp() : SeamHttp.fromConsoleSessionToken(session, workspace)
const { entrances } = seam.acs
const ids = (found) => ({ ids: found.map((entrance) => entrance.acs_entrance_id).sort() })
const calls = {
  grant: async () => ({ granted: (await entrances.grantAccess(fields)) === undefined }),
  get: async () => ({ name: (await entrances.get(fields)).display_name }),
  // Without arguments the oldest of them send an empty form.
  list: async () => ids(await (json === '{}' ? entrances.list() : entrances.list(fields))),
  pages: async () => ids(await seam.createPaginator(entrances.list(fields)).flattenToArray()),
}

let result
try {
  result = await calls[call]()
} catch (error) {
  if (!isSeamHttpApiError(error)) throw error
  let kind = 'api'
  if (isSeamHttpUnauthorizedError(error)) kind = 'unauthorized'
  if (isSeamHttpInvalidInputError(error)) kind = 'invalid_input'
  result = { error: kind, code: error.code, status: error.statusCode, request_id: error.requestId }
  if (kind === 'invalid_input' && error.getValidationErrorMessages != null) {
    result.validation = error.getValidationErrorMessages('acs_entrance_id')
  }
}
console.log(JSON.stringify(result))
