# syntax=docker/dockerfile:1
# The image of tidings: one program and its bill of materials, without a shell, as a user without rights.
#
#   docker build --tag tidings:0.1.0 .
#
# The build sees the network for crates only; the result needs nothing but the C library that the base image brings.

FROM rust:1.95.0-slim-bookworm AS build
ARG CYCLONEDX_VERSION=0.5.9
WORKDIR /src
# The tool alone, so that it is built again only when its version changes.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    cargo install --locked cargo-cyclonedx --version "${CYCLONEDX_VERSION}" --root /tools
# Without rust-toolchain.toml, which would fetch tools that only developers need; the version above is its.
COPY Cargo.toml Cargo.lock build.rs ./
COPY tests/faults.rs ./tests/faults.rs
COPY proto ./proto
COPY migrations ./migrations
COPY templates ./templates
COPY src ./src
# The program, and what it is made of: every crate with version, licence and checksum.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin tidings \
    && /tools/bin/cargo-cyclonedx cyclonedx --format json --spec-version 1.5 --override-filename sbom \
    && install -D --mode=0755 target/release/tidings /out/usr/local/bin/tidings \
    && install -D --mode=0644 sbom.json /out/usr/share/tidings/sbom.cdx.json \
    && mkdir /data

FROM gcr.io/distroless/cc-debian12:nonroot
LABEL org.opencontainers.image.title="tidings" \
      org.opencontainers.image.description="A notification delivery gateway for shops" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /out/ /
COPY --from=build --chown=65532:65532 --chmod=0700 /data /var/lib/tidings
COPY LICENSE /usr/share/tidings/LICENSE
# nonroot of the base image, by number, so that Kubernetes can see that it is not root.
USER 65532:65532
# gRPC; health and metrics.
EXPOSE 50051 9090
VOLUME ["/var/lib/tidings"]
# Kubernetes asks the health port itself; there is no shell or client here to ask it with.
HEALTHCHECK NONE
ENTRYPOINT ["/usr/local/bin/tidings"]
CMD ["serve"]
