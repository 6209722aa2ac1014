-- Takes several locks, or none.
-- KEYS[1] the counter of tokens, then each lock and its queue; ARGV[1] their life in milliseconds; ARGV[2] our proposal for a
-- token, empty without fencing; then our value for each.
-- Returns {1, a token for each} or {0, which of them somebody else has or waits for}.
local count = #ARGV - 2
for index = 1, count do
  local lock, queue = KEYS[2 * index], KEYS[2 * index + 1]
  local holder = redis.call('GET', lock)
  if holder ~= ARGV[index + 2] and (holder or redis.call('EXISTS', queue) == 1) then
    return {0, index}
  end
end
local answer = {1}
for index = 1, count do
  redis.call('SET', KEYS[2 * index], ARGV[index + 2], 'PX', ARGV[1])
  answer[index + 1] = ARGV[2] == '' and 0 or mint(KEYS[1], ARGV[2], 1)
end
return answer
