-- KEYS[1] the holders; KEYS[2] the queue; KEYS[3] the counter of tokens. ARGV[1] to ARGV[5] as of `release.lua`; ARGV[6] how many
-- permits there are.
-- Returns 0 if we had none, 1 if ours is free, 2 if somebody else has it now.
if ARGV[5] ~= '' then
  redis.call('LREM', KEYS[2], 0, ARGV[5])
end
local ms = purge(KEYS[1])
local had = redis.call('ZREM', KEYS[1], ARGV[1])
local freed = fill(KEYS[1], KEYS[2], KEYS[3], tonumber(ARGV[6]), ARGV[2], ARGV[3], ARGV[4], ms)
keep(KEYS[1], ms)
return had * freed
