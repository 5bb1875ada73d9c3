# The broker as an image: see docs/deploy.md.
#
#   docker build --tag waystation .
#   docker run --rm --publish 5672:5672 --volume waystation:/var/lib/waystation \
#     --env WAYSTATION_DEFAULT_USER_NAME=app --env WAYSTATION_DEFAULT_USER_PASSWORD=... waystation
ARG NODE_VERSION=24.21.0

FROM node:${NODE_VERSION}-bookworm-slim AS build
WORKDIR /source
COPY package.json package-lock.json .npmrc ./
RUN npm install --no-progress
COPY tsconfig.json tsconfig.build.json ./
COPY tools ./tools
COPY console ./console
COPY src ./src
RUN npm run build && npm prune --omit=dev

FROM node:${NODE_VERSION}-bookworm-slim
LABEL org.opencontainers.image.title="Waystation" \
      org.opencontainers.image.description="A message broker for the clients you already have" \
      org.opencontainers.image.licenses="Apache-2.0"
# A number, so that orchestrators can see that it is not root. The folder is made before it becomes
# a volume, which then has its owner.
RUN groupadd --system --gid 10001 waystation \
    && useradd --system --uid 10001 --gid waystation --home-dir /var/lib/waystation waystation \
    && install --directory --owner=10001 --group=10001 --mode=0700 /var/lib/waystation
WORKDIR /opt/waystation
COPY --from=build /source/package.json ./
COPY --from=build /source/node_modules ./node_modules
COPY --from=build /source/dist ./dist
COPY LICENSE ./
ENV NODE_ENV=production \
    XDG_CACHE_HOME=/tmp \
    WAYSTATION_DATA=/var/lib/waystation \
    WAYSTATION_LOG_FORMAT=json \
    WAYSTATION_LISTEN_AMQP=*:5672 \
    WAYSTATION_LISTEN_HTTP=*:15672 \
    WAYSTATION_LISTEN_MQTT=*:1883 \
    WAYSTATION_LISTEN_MQTT_WS=*:8083 \
    WAYSTATION_LISTEN_KAFKA=*:9092 \
    WAYSTATION_LISTEN_RPC=*:7700 \
    WAYSTATION_LISTEN_RPC_WS=*:7702
USER 10001:10001
VOLUME ["/var/lib/waystation"]
EXPOSE 5672 15672 1883 8083 9092 7700 7702
# It finds the broker by its data directory, whatever its ports are.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
    CMD ["node", "/opt/waystation/dist/cli/main.js", "status", "--json"]
# Clients are told and what was begun is stored: more than docker's ten seconds may be needed.
STOPSIGNAL SIGTERM
ENTRYPOINT ["node", "/opt/waystation/dist/cli/main.js"]
CMD ["start"]
