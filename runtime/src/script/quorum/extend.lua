-- KEYS[1] the lock; KEYS[2] the ledger; KEYS[3] the lock's counter of tokens. ARGV[1] our value; ARGV[2] the lock's life in
-- milliseconds; ARGV[3] our token; ARGV[4] the life of an idle counter.
-- Returns {1, what was left of the lock's life} if it was ours, {2} if it was free and is ours again, {0} if it is another's.
local holder = redis.call('GET', KEYS[1])
if holder == ARGV[1] then
  local left = redis.call('PTTL', KEYS[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return {1, left}
end
if holder then
  return {0}
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
if ARGV[3] ~= '0' then
  raise(KEYS[3], KEYS[2], ARGV[3], ARGV[4])
end
return {2}
