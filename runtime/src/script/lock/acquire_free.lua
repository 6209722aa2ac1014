-- The short way of most locks, which are free and which nobody waits for: before the functions that the rest needs, for to
-- define them takes as long. Arguments as in `acquire.lua`.
local taken = redis.call('EXISTS', KEYS[2]) == 0 and redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2])
if taken and ARGV[3] == '' then
  return {1, 0}
end
