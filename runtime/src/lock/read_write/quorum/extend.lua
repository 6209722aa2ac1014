-- KEYS as of `acquire.lua` beside this. ARGV[1] our value; ARGV[2] our life in milliseconds; ARGV[3] our token; ARGV[4] the life of an
-- idle counter.
-- Returns {1, what was left of our life} if we were among those who share it, {2} if it was free or shared by others and we
-- are among them again, {0} if somebody has it alone.
local ms = purge(KEYS[5])
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= SHARED then
  return {0}
end
local deadline = holder and redis.call('ZSCORE', KEYS[5], ARGV[1])
redis.call('ZADD', KEYS[5], ms + ARGV[2], ARGV[1])
keep(KEYS[1], KEYS[5], ms)
if deadline then
  return {1, deadline - ms}
end
if ARGV[3] ~= '0' then
  raise(KEYS[3], KEYS[2], ARGV[3], ARGV[4])
end
return {2}
