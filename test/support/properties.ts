// Set-up of every test file: fast-check's properties draw from the run's seed.

import fc from "fast-check";
import { seed } from "./seed.js";

fc.configureGlobal({ seed });
