# syntax=docker/dockerfile:1
# The image of Shoal: the binary and the C library, no shell, nobody's rights. docs/operations.md, section Docker, says how
# it is run; scripts/image-check runs one and measures it. A binary that is built already is taken instead of the first stage with
#   docker buildx build --build-context build=DIR .     where DIR/out/shoal is the binary and DIR/out/state is empty.

FROM rust:1.95.0-slim-bookworm AS build
# The allocator is built by make.
# hadolint ignore=DL3008
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends make && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
ARG SHOAL_REVISION=unknown
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/target \
    CARGO_TARGET_DIR=/target cargo build --release --locked -p shoal-server \
    && install -D -m 0755 /target/release/shoal /out/shoal \
    && mkdir /out/state

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build --chown=0:0 --chmod=0755 /out/shoal /usr/local/bin/shoal
# Three places, because they must not be copied or put back together: see docs/operations.md, Install and start.
COPY --from=build --chown=65532:65532 --chmod=0700 /out/state /var/lib/shoal
COPY --from=build --chown=65532:65532 --chmod=0700 /out/state /var/lib/shoal-keys
COPY --from=build --chown=65532:65532 --chmod=0700 /out/state /var/lib/shoal-budget
# A place for backups, where a volume is put there.
COPY --from=build --chown=65532:65532 --chmod=0700 /out/state /var/lib/shoal-backup
VOLUME ["/var/lib/shoal", "/var/lib/shoal-keys", "/var/lib/shoal-budget"]
ENV SHOAL_DATA_DIR=/var/lib/shoal/data \
    SHOAL_KEY_FILE=/var/lib/shoal-keys/shoal.key \
    SHOAL_BUDGET_MARKS_DIR=/var/lib/shoal-budget/marks \
    SHOAL_WITHDRAWALS_DIR=/var/lib/shoal-budget/withdrawals \
    SHOAL_HTTP_LISTEN=0.0.0.0:8750 \
    SHOAL_LOG_FORMAT=json
USER 65532:65532
EXPOSE 8750
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=6s --start-period=120s --start-interval=2s --retries=3 \
    CMD ["/usr/local/bin/shoal", "health"]
ENTRYPOINT ["/usr/local/bin/shoal"]
CMD ["serve"]
