#!/usr/bin/env node
// The entry of the command `xm`: the same as `xen-ts`, with the looks of 2005 (program-name.ts).

import "./main.js";
