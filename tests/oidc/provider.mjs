// An OpenID provider with the keys of a file: `node provider.mjs PORT KEYS CERTIFICATE KEY`.
// Port 0 takes any. Prints its address when it serves.
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { Provider } from "oidc-provider";

const [port, keys, certificate, key] = process.argv.slice(2);
const server = createServer({ cert: readFileSync(certificate), key: readFileSync(key) });
server.listen(Number(port), "127.0.0.1", () => {
  const issuer = `https://localhost:${server.address().port}`;
  const client = (client_id) => ({
    client_id,
    client_secret: "secret-of-a-test",
    grant_types: ["client_credentials"],
    redirect_uris: [],
    response_types: [],
    id_token_signed_response_alg: "ES256",
  });
  const provider = new Provider(issuer, {
    clients: ["desk", "nobody"].map(client),
    jwks: JSON.parse(readFileSync(keys, "utf8")),
    extraTokenClaims: () => ({ groups: ["front-desk"] }),
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        // What a token is for is its audience.
        getResourceServerInfo: (_, resource) => ({
          audience: resource,
          scope: "doors",
          accessTokenFormat: "jwt",
          accessTokenTTL: 600,
          jwt: { sign: { alg: "ES256" } },
        }),
      },
    },
  });
  server.on("request", provider.callback());
  console.log(issuer);
});
