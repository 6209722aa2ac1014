-- KEYS[1] the lock; KEYS[2] its queue; KEYS[3] the counter of tokens; KEYS[4] its holders that share; KEYS[5] those in the queue
-- who share. ARGV as of `acquire.lua`.
-- Returns {1, the last token} or {0, what is left of the lock's life, our place in the queue, server time}.
local lock, queue, counter, holders, sharing = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local value = ARGV[1]
local ms = purge(holders)
local holder = redis.call('GET', lock)
if not holder then
  holder = hand_over(lock, queue, counter, ARGV[6], ARGV[7], ARGV[4], value) or value
end
if holder == SHARED then
  -- Some may be at the head of the queue since one who wanted it alone has gone.
  admit(queue, holders, sharing, ARGV[6], ARGV[7], ms)
end
-- Whoever comes new waits behind those who wait already, so that nobody starves.
local joins = holder == SHARED and (redis.call('ZSCORE', holders, value) or redis.call('EXISTS', queue) == 0)
if holder == value or joins then
  redis.call('ZADD', holders, ms + ARGV[2], value)
  redis.call('SREM', sharing, value)
  admit(queue, holders, sharing, ARGV[6], ARGV[7], ms)
  keep(lock, holders, ms)
  return {1, tonumber(redis.call('GET', counter) or 0)}
end
local place = queue_up(queue, value, ARGV[5], ARGV[8])
if place > 0 then
  redis.call('SADD', sharing, value)
  redis.call('PEXPIRE', sharing, ARGV[8])
end
return {0, redis.call('PTTL', lock), place, now()}
