// One grant through the JavaScript SDK; prints what the SDK made of it as JSON.
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const require = createRequire(`${process.argv[2]}/`)
const sdk = await import(pathToFileURL(require.resolve('@seamapi/http')).href)
const { SeamHttp, isSeamHttpApiError, isSeamHttpInvalidInputError, isSeamHttpUnauthorizedError } = sdk

let result
try {
  const value = await new SeamHttp().acs.entrances.grantAccess(JSON.parse(process.argv[3]))
  result = { granted: value === undefined }
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
