-- KEYS[1] the lock; KEYS[2] the ledger of this master; KEYS[3] the lock's counter of tokens; KEYS[4] the mark of those who want the
-- lock alone; KEYS[5] its holders that share. ARGV as of the quorum's `acquire.lua`.
-- Returns {1, the last token, admitted run}, {0, what is left of the lock's life}, or {-1} without a ledger: then nothing was set.
local ledger = redis.call('HMGET', KEYS[2], 'run', 'high', 'longest', 'floor')
if not ledger[1] then
  return {-1}
end
local ms = purge(KEYS[5])
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= SHARED then
  return {0, redis.call('PTTL', KEYS[1])}
end
if redis.call('EXISTS', KEYS[4]) == 1 and not redis.call('ZSCORE', KEYS[5], ARGV[1]) then
  return {0, redis.call('PTTL', KEYS[4])}
end
redis.call('ZADD', KEYS[5], ms + ARGV[2], ARGV[1])
keep(KEYS[1], KEYS[5], ms)
if tonumber(ARGV[2]) > tonumber(ledger[3]) then
  redis.call('HSET', KEYS[2], 'longest', ARGV[2])
end
local counter = math.max(tonumber(redis.call('GET', KEYS[3]) or ledger[2]), tonumber(ledger[4]))
return {1, counter, ledger[1]}
