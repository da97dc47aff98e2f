# The gateway as a non-root process in an image that holds a C library, authorities and the binary:
# no shell. Mount the configuration, the secrets and a writable volume for the audit log; the root
# file system can be read-only.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
ARG GRANTGATE_COMMIT=unknown
RUN GRANTGATE_COMMIT=$GRANTGATE_COMMIT cargo build --profile dist --locked
RUN install -d -m 0700 /empty

FROM gcr.io/distroless/cc-debian12
COPY --from=build /src/target/dist/grantgate /usr/local/bin/grantgate
COPY --from=build --chown=10001:10001 /empty /var/lib/grantgate
USER 10001:10001
VOLUME /var/lib/grantgate
EXPOSE 8443
ENTRYPOINT ["grantgate"]
CMD ["serve", "--config", "/etc/grantgate/grantgate.toml"]
