-- KEYS[1] the lock; KEYS[2] its queue; KEYS[3] the counter of tokens. ARGV[1] our value; ARGV[2] the prefix of inboxes;
-- ARGV[3] the life of a claim; ARGV[4] how many tokens the next one gets; ARGV[5] our entry in the queue if we may be there,
-- or empty.
-- Returns 0 if the lock is not ours, 1 if it is free, 2 if somebody else has it now.
if ARGV[5] ~= '' then
  redis.call('LREM', KEYS[2], 0, ARGV[5])
end
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
if hand_over(KEYS[1], KEYS[2], KEYS[3], ARGV[2], ARGV[3], ARGV[4]) then
  return 2
end
redis.call('DEL', KEYS[1])
return 1
