# The gateway as a non-root process in a minimal image. Mount the configuration, the secrets and a
# writable volume for the audit log; the root file system can be read-only.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
ARG GRANTGATE_COMMIT=unknown
RUN GRANTGATE_COMMIT=$GRANTGATE_COMMIT cargo build --profile dist --locked

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --no-create-home grantgate \
 && install -d -o grantgate -m 0700 /var/lib/grantgate
COPY --from=build /src/target/dist/grantgate /usr/local/bin/grantgate
USER 10001
VOLUME /var/lib/grantgate
EXPOSE 8443
ENTRYPOINT ["grantgate"]
CMD ["serve", "--config", "/etc/grantgate/grantgate.toml"]
