-- KEYS[1] the lock; KEYS[2] its queue; KEYS[3] the counter of tokens; KEYS[4] its holders that share; KEYS[5] those in the queue
-- who share. ARGV as of `release.lua`.
-- Returns 0 if we did not have the lock, 1 if it is free or others share it, 2 if somebody else has it now.
local lock, queue, holders, sharing = KEYS[1], KEYS[2], KEYS[4], KEYS[5]
local value = ARGV[1]
local ms = purge(holders)
local had = redis.call('ZREM', holders, value)
local holder = redis.call('GET', lock)
redis.call('SREM', sharing, value)
if ARGV[5] ~= '' then
  redis.call('LREM', queue, 0, value)
end
if holder == value then
  had = 1
elseif holder ~= SHARED then
  return 0
end
if redis.call('ZCARD', holders) > 0 then
  if had == 1 then
    keep(lock, holders, ms)
  end
  return had
end
if hand_over(lock, queue, KEYS[3], ARGV[2], ARGV[3], ARGV[4]) then
  return had * 2
end
redis.call('DEL', lock)
return had
