/** Methods that are not there yet: calls wait for them. */
import type { Methods } from './seam.ts';

/** The same paths, whose calls wait until `methods` are there, and fail as they do. */
export function deferred(
  paths: { unary: readonly string[]; stream: readonly string[] },
  methods: Promise<readonly Methods[]>,
): Methods {
  // Whoever calls is told.
  methods.catch(() => {});
  return {
    unary: Object.fromEntries(
      paths.unary.map((path) => [
        path,
        async (request, call) => {
          const handler = (await methods).find(({ unary }) => unary?.[path])!.unary![path]!;
          return handler(request, call);
        },
      ]),
    ),
    stream: Object.fromEntries(
      paths.stream.map((path) => [
        path,
        async (stream) => {
          const handler = (await methods).find((one) => one.stream?.[path])!.stream![path]!;
          return handler(stream);
        },
      ]),
    ),
  };
}
