// Images for the guest tests: built once from the network (with retries) and then found in the cache, so that a network that is
// away for a moment does no harm.
import { type BuiltImage, buildImage } from "../../images/index.js";

const ATTEMPTS = 3;
const PAUSE_MS = 10_000;

export async function testImage(suite: string, recipe = "busybox"): Promise<BuiltImage> {
  try {
    // What the cache alone gives: the image of this recipe, not of an older one.
    return await buildImage({ suite, recipe, offline: true });
  } catch {
    // Not everything is there yet, or it is damaged.
  }
  for (let attempt = 1; ; attempt++) {
    try {
      return await buildImage({ suite, recipe });
    } catch (error) {
      if (attempt === ATTEMPTS) throw error;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }
}
