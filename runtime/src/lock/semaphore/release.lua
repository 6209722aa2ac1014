-- KEYS[1] the holders; KEYS[2] the queue; KEYS[3] the counter of tokens. ARGV[1] to ARGV[4] as of `release.lua`; ARGV[5] how many
-- permits there are.
-- Returns 0 if we had none, 1 if ours is free, 2 if somebody else has it now.
local ms = purge(KEYS[1])
local had = redis.call('ZREM', KEYS[1], ARGV[1])
local freed = fill(KEYS[1], KEYS[2], KEYS[3], tonumber(ARGV[5]), ARGV[2], ARGV[3], ARGV[4], ms)
keep(KEYS[1], ms)
return had * freed
